import { AssetError, type AssetErrorCode } from '../../asset/errors.ts'
import { abortError } from '../../util/abort-error.ts'
import type { GitTarget } from './git-target.ts'

interface Rule {
  readonly pattern: RegExp
  readonly code: AssetErrorCode
  readonly reason: string
}

/** git tells its failures apart by text alone. The first that matches counts. */
const rules: readonly Rule[] = [
  {
    pattern: /transport '[^']*' not allowed|protocol '[^']*' is not supported/,
    code: 'INVALID_ARGUMENT',
    reason: 'this protocol is not allowed',
  },
  {
    pattern: /couldn't find remote ref|Remote branch .* not found|not our ref|no such remote ref/i,
    code: 'NOT_FOUND',
    reason: 'the repository has no such commit, branch or tag',
  },
  {
    pattern:
      /Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied|returned error: 40[13]|Host key verification failed|access denied/i,
    code: 'PERMISSION_DENIED',
    reason: 'access was refused',
  },
  {
    pattern: /returned error: (429|5\d\d)/,
    code: 'UPSTREAM_UNAVAILABLE',
    reason: 'the server is overloaded or failing',
  },
  {
    pattern:
      /Could not resolve|Connection (refused|reset|timed out|closed)|unable to connect|Couldn't connect|Failed to connect|Operation timed out|Operation too slow|timed? ?out|No route to host|Network is unreachable|early EOF|hung up unexpectedly|RPC failed|unexpected disconnect|Empty reply|SSL|gnutls|certificate/i,
    code: 'UPSTREAM_UNAVAILABLE',
    reason: 'the server could not be reached, or broke off',
  },
  {
    pattern:
      /repository '[^']*' not found|does not appear to be a git repository|Repository not found|not valid: is this a git repository|returned error: (404|410)|repository not exported|no such repository|does not exist/i,
    code: 'NOT_FOUND',
    reason: 'there is no such repository',
  },
  {
    pattern: /unable to update url base from redirection|redirect|returned error: 30\d/i,
    code: 'PERMISSION_DENIED',
    reason:
      'the server redirects, which is not followed with credentials or after the first request',
  },
  {
    pattern: /No space left on device/,
    code: 'RESOURCE_EXHAUSTED',
    reason: 'no space is left for the local copy',
  },
]

/** What git said when it failed, as an error of `Fetcher.fetch`. */
export function gitError(error: unknown, target: GitTarget, signal: AbortSignal): AssetError {
  if (signal.aborted) return abortError(signal, `fetching ${target.display}`)
  if (error instanceof AssetError) return error
  const text = error instanceof Error ? error.message : String(error)
  if (/spawn .* ENOENT|setsid: failed to execute|git-launcher\.sh: .*not found/.test(text)) {
    return new AssetError(
      'FAILED_PRECONDITION',
      'git repositories cannot be fetched: git is not installed or not on the PATH',
      { cause: error },
    )
  }
  const rule = rules.find(({ pattern }) => pattern.test(text))
  const code = rule?.code ?? 'UPSTREAM_UNAVAILABLE'
  const reason = rule?.reason ?? 'git failed'
  return new AssetError(code, `git ${target.display}: ${reason}${detail(text, target)}`, {
    uri: target.display,
  })
}

/** git's own first complaint, with the URL in it only as far as it may be shown. */
function detail(text: string, { remoteUrl, display, headers }: GitTarget): string {
  const lines = text.split('\n').map((line) => line.trim())
  const line = lines.find((each) => /^(fatal|error|remote|ERROR):/.test(each)) ?? lines[0]
  if (!line) return ''
  const shown = line
    .replaceAll(remoteUrl, display)
    // A redirected URL may carry a signature of its own.
    .replace(/(https?:\/\/)[^\s'"@/]*@/g, '$1')
    .replace(/\?[^\s'"]*/g, '?…')
  return ` (${withoutSecrets(shown, headers).slice(0, 300)})`
}

/** Shorter ones could be any part of any word. */
const secretCharsMin = 4

/** git prints what the server says, and that may repeat what it was sent. */
function withoutSecrets(text: string, headers: GitTarget['headers']): string {
  let shown = text
  for (const secret of [...headers.values()].flat()) {
    for (const part of partsOf(secret.reveal())) shown = shown.replaceAll(part, '<redacted>')
  }
  return shown
}

/** A header's value as a whole, what follows its scheme, and the user and password of Basic. */
function partsOf(value: string): string[] {
  const credentials = value.slice(value.indexOf(' ') + 1)
  const pair = Buffer.from(credentials, 'base64').toString()
  const colon = pair.indexOf(':')
  const parts = [value, credentials, pair, pair.slice(0, Math.max(colon, 0)), pair.slice(colon + 1)]
  return parts.filter((part) => part.length >= secretCharsMin)
}

/** True if the server takes no ids but those of its refs, so that a commit must be looked for. */
export function refusesIds(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return /does not allow request for unadvertised object|dumb http transport does not support/i.test(
    text,
  )
}

/** True if the local copy is to blame, not the request or the server. */
export function isCorruption(error: unknown): boolean {
  const text = error instanceof Error ? error.message : ''
  return /bad object|corrupt|object file .* is empty|loose object|not a git repository: |invalid sha1 pointer|packfile .* (cannot be|does not match|index)|bad pack|missing (blob|tree|commit)|unable to read tree|unresolved deltas|shallow file has changed|bad shallow|Unable to create '.*\.lock'|cannot lock ref|bad config|index file .* too small/i.test(
    text,
  )
}
