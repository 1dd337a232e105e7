import { displayUri } from '../../asset/asset-uri.ts'
import { quoteShort } from '../../asset/digest.ts'
import { AssetError, invalidField } from '../../asset/errors.ts'
import type { Secret } from '../../asset/secret.ts'
import type { FetchRequest } from '../fetcher.ts'

/** What a request wants of which repository, checked: nothing in it can be taken for an option. */
export interface GitTarget {
  /** As git takes it. */
  readonly remoteUrl: string
  /** git's name of the protocol. */
  readonly protocol: string
  /** Fit for messages. */
  readonly display: string
  /** A full id, or a ref by its full name, or `HEAD`. */
  readonly wanted: { readonly commit: string } | { readonly ref: string }
  /** Of `FetchRequest`. */
  readonly scope: string
  /** Sent to the origin of the URL alone, and only by HTTP. */
  readonly headers: ReadonlyMap<string, readonly Secret[]>
}

/** Schemes that name a git repository by themselves. */
const gitSchemes = new Set(['git:', 'ssh:', 'git+https:', 'git+http:', 'git+ssh:', 'git+file:'])

/** True for what is to be had as a repository by one of the protocols; see `Fetcher.accepts`. */
export function acceptsGit(
  { url, kind, qualifiers }: FetchRequest,
  protocols: readonly string[],
): boolean {
  if (!protocols.includes(protocolOf(url))) return false
  const isSaid =
    qualifiers.value('resource_type') === 'application/x-git' ||
    qualifiers.stable.some(({ name }) => name.startsWith('vcs.'))
  if (isSaid) return true
  // A blob below a .git path is an ordinary file, unless the request says otherwise.
  if (kind === 'blob') return false
  return gitSchemes.has(url.protocol) || /\.git\/?$/.test(url.pathname)
}

/**
 * @param protocols those that are allowed, by git's names
 * @throws AssetError INVALID_ARGUMENT
 */
export function parseGitTarget(request: FetchRequest, protocols: readonly string[]): GitTarget {
  const { url, headers, scope } = request
  const protocol = protocolOf(url)
  if (!protocols.includes(protocol)) {
    throw invalidField('uris', `git repositories are not fetched by ${quoteShort(url.protocol)}`)
  }
  const remote = new URL(url.href)
  remote.hash = ''
  const remoteUrl = remote.href.replace(/^git\+/, '')
  checkRemote(remote, protocol, remoteUrl)
  return {
    remoteUrl,
    protocol,
    display: displayUri(url),
    wanted: wantedOf(request),
    headers,
    scope,
  }
}

function protocolOf({ protocol }: URL): string {
  return protocol.replace(/^git\+/, '').replace(/:$/, '')
}

function checkRemote(remote: URL, protocol: string, text: string): void {
  const { host, username, pathname } = remote
  if (protocol === 'file') {
    if (host !== '') throw invalidField('uris', 'a file: URI may not name a host')
  } else if (!/^[A-Za-z0-9[][A-Za-z0-9.:_[\]-]*$/.test(host)) {
    // ssh takes a host or user that begins with "-" for an option.
    throw invalidField('uris', `no valid host in ${quoteShort(displayUri(remote))}`)
  }
  if (username !== '' && !/^[A-Za-z0-9_][A-Za-z0-9_.%~-]*$/.test(username)) {
    throw invalidField('uris', 'the user name is not valid')
  }
  if (pathname === '' || pathname === '/') {
    throw invalidField('uris', `no repository is named by ${quoteShort(displayUri(remote))}`)
  }
  if (hasControl(text) || hasControl(decodeSafe(pathname))) {
    throw invalidField('uris', 'a URI must not hold control characters')
  }
}

function wantedOf({ qualifiers }: FetchRequest): GitTarget['wanted'] {
  const commit = qualifiers.value('vcs.commit')
  if (commit !== undefined) return { commit: fullCommit(commit) }
  const tag = qualifiers.value('vcs.tag')
  const branch = qualifiers.value('vcs.branch')
  if (tag !== undefined && branch !== undefined) {
    throw invalidField('qualifiers.name', 'vcs.branch and vcs.tag exclude each other')
  }
  if (tag !== undefined) return { ref: fullRef('vcs.tag', 'refs/tags/', tag) }
  if (branch !== undefined) return { ref: fullRef('vcs.branch', 'refs/heads/', branch) }
  return { ref: 'HEAD' }
}

function fullCommit(commit: string): string {
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) return commit
  throw invalidField(
    'qualifiers.value',
    `vcs.commit must be a full commit id, 40 or 64 lower-case hex digits, got ${quoteShort(commit)}`,
  )
}

/** The rules of git check-ref-format, so that a name is no pattern and no expression either. */
function fullRef(qualifier: string, namespace: string, name: string): string {
  const short = name.startsWith(namespace) ? name.slice(namespace.length) : name
  const isBad =
    short === '' ||
    short === '@' ||
    short.startsWith('-') ||
    /[ ~^:?*[\\]|\.\.|@\{|\/\/|^\/|\/$|\.$/.test(short) ||
    hasControl(short) ||
    short.split('/').some((part) => part.startsWith('.') || part.endsWith('.lock'))
  if (isBad) {
    throw invalidField('qualifiers.value', `${qualifier} ${quoteShort(name)} is no valid name`)
  }
  return `${namespace}${short}`
}

function hasControl(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  return /[\u0000-\u001f\u007f]/.test(text)
}

function decodeSafe(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new AssetError('INVALID_ARGUMENT', 'uris: the path is not well percent-encoded')
  }
}
