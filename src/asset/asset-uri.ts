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
  const sentText = new Secret(text)
  if (!url || (url.username === '' && url.password === '')) {
    return { text, sentText, url, authorization: undefined }
  }
  return withoutUserinfo(text, url, sentText)
}

function withoutUserinfo(text: string, url: URL, sentText: Secret): AssetUri {
  const keepsUser = url.protocol === 'ssh:' || url.protocol === 'git+ssh:'
  const user = decodeURIComponentSafe(url.username)
  const password = decodeURIComponentSafe(url.password)
  const authorization = keepsUser
    ? undefined
    : new Secret(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`)
  const kept = keepsUser ? `${url.username}@` : ''
  // Only the userinfo is cut: the rest stays as written, since the text is the asset's name.
  const shown = text.replace(/^([^/?#]*:\/\/)[^/?#]*@/, `$1${kept}`)
  url.password = ''
  if (!keepsUser) url.username = ''
  return { text: shown, sentText, url, authorization }
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
