import { quoteShort } from './digest.ts'
import { invalidField } from './errors.ts'
import { Secret } from './secret.ts'

/** 16 URIs in a request, each of 8 KiB at most. */
export const urisMax = 16
export const uriBytesMax = 8 * 1024

/** One URI of a request. */
export interface AssetUri {
  /**
   * As the client wrote it, less any password: what the asset is keyed and answered by. A user name
   * is kept for ssh, where it names an account, and dropped for http, where it may be a token.
   */
  readonly text: string
  /** The text as sent, for comparing with the keys of `bazel.auth_headers`. */
  readonly sentText: Secret
  /** Undefined for what is not a URL; such a URI can be pushed and looked up, not fetched. */
  readonly url: URL | undefined
  /** Value of an Authorization header, where the URI held a user and password. */
  readonly authorization: Secret | undefined
}

/**
 * Parses the `uris` of a request.
 * @throws AssetError INVALID_ARGUMENT for none (BuildStream's probe), too many, or a bad one.
 */
export function parseAssetUris(texts: readonly string[]): readonly AssetUri[] {
  if (texts.length === 0) throw invalidField('uris', 'at least one URI is needed')
  if (texts.length > urisMax) {
    throw invalidField('uris', `at most ${urisMax} URIs are accepted, got ${texts.length}`)
  }
  return texts.map(parseAssetUri)
}

export function parseAssetUri(text: string): AssetUri {
  if (text === '') throw invalidField('uris', 'a URI must not be empty')
  if (Buffer.byteLength(text) > uriBytesMax) {
    throw invalidField('uris', `a URI may be ${uriBytesMax} bytes long`)
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
  if (/[\u0000-\u0020\u007f]/.test(text)) {
    throw invalidField('uris', 'a URI must not hold spaces or control characters')
  }
  if (text.startsWith('-')) {
    throw invalidField('uris', `a URI must not begin with "-": ${quoteShort(text)}`)
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url) checkWriting(text, url)
  const sentText = new Secret(text)
  const keepsUser = /^(git\+)?ssh:/i.test(text)
  // Only the userinfo is cut: the rest stays as written, since the text is the asset's name. What is
  // not a URL, or holds one ("jar:https://…"), may hold a password all the same.
  const shown = text.replace(userinfo, (_, scheme: string, info: string) => {
    const [user] = info.split(':', 1)
    return keepsUser && user ? `${scheme}${user}@` : scheme
  })
  if (!url || (url.username === '' && url.password === '')) {
    return { text: shown, sentText, url, authorization: undefined }
  }
  const authorization = keepsUser ? undefined : basicAuthorization(url)
  url.password = ''
  if (!keepsUser) url.username = ''
  return { text: shown, sentText, url, authorization }
}

/** Scheme, then user and password up to the last "@" before the path. */
const userinfo = /^([^/?#]*:\/\/)([^/?#]*)@/

const forgivingProtocols = new Set(['http:', 'https:', 'ftp:', 'ws:', 'wss:'])

/**
 * For these schemes the URL parser takes "\" for "/" and forgives missing and surplus slashes. The
 * text would then name another host than the one that is asked ("https://u:p@asked\@named/"), or
 * keep a password where nobody looks for one ("https:user:password@host/").
 */
function checkWriting(text: string, url: URL): void {
  if (!forgivingProtocols.has(url.protocol)) return
  if (!/^[a-z]+:\/\/[^/\\][^\\?#]*(?:[?#]|$)/i.test(text)) {
    throw invalidField('uris', `such a URL must be written "${url.protocol}//host/path"`)
  }
}

function basicAuthorization({ username, password }: URL): Secret {
  const pair = `${decodeURIComponentSafe(username)}:${decodeURIComponentSafe(password)}`
  return new Secret(`Basic ${Buffer.from(pair).toString('base64')}`)
}

function decodeURIComponentSafe(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * A URI for messages and logs: without userinfo, and without the values of a query, which is where
 * signed URLs carry their secrets.
 */
export function displayUri(uri: string | URL): string {
  const text = typeof uri === 'string' ? uri : uri.href
  const shown = text.replace(/^([^/?#]*:\/\/)[^/?#]*@/, '$1').replace(/[?#].*$/s, '?…')
  return shown.length > 512 ? `${shown.slice(0, 512)}…` : shown
}
