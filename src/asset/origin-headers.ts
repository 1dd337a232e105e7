import type { AssetUri } from './asset-uri.ts'
import { quoteShort } from './digest.ts'
import { invalidField } from './errors.ts'
import { Secret } from './secret.ts'

/** A header that a request asks us to send to an origin, and to which of its URIs. */
export interface OriginHeader {
  /** As written by the client. */
  readonly name: string
  readonly value: Secret
  /**
   * `all` for `http_header:<Name>`; a URI's index for `http_header_url:<index>:<Name>`; a URI's text
   * for `bazel.auth_headers`, secret since it may hold a password. The narrower ones win over `all`.
   */
  readonly target: 'all' | number | Secret
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/**
 * Headers that would change what the bytes are, ask for no bytes at all (the conditional ones, which
 * are ours to send), or belong to the connection.
 */
const refusedNames = new Set([
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'expect',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'accept-encoding',
])

/**
 * `http_header:<Name>` (Bazel 7.1 and later) or `http_header_url:<index>:<Name>` (Bazel 8 and later)
 * as a header; undefined if the qualifier is neither.
 * @throws AssetError INVALID_ARGUMENT for a bad name, index or value; the value is never repeated.
 */
export function parseHeaderQualifier(name: string, value: string): OriginHeader | undefined {
  if (name.startsWith('http_header:')) {
    return header(name, name.slice('http_header:'.length), value, 'all')
  }
  if (!name.startsWith('http_header_url:')) return undefined
  const match = /^http_header_url:(\d{1,6}):(.*)$/s.exec(name)
  if (!match) {
    throw invalidField(
      'qualifiers.name',
      `${shownName(name)} is not of the form http_header_url:<index>:<name>`,
    )
  }
  return header(name, match[2] ?? '', value, Number(match[1]))
}

/**
 * `bazel.auth_headers` (Bazel up to 5): a JSON object of URL to {header: value}.
 * @throws AssetError INVALID_ARGUMENT if it is not; its text is never repeated.
 */
export function parseAuthHeaders(json: string): OriginHeader[] {
  const where = 'bazel.auth_headers'
  const wrong = () =>
    invalidField('qualifiers.value', `${where} is not a JSON object of URL to {header: value}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    // The parser's own message would quote the text, and the text is a secret.
    throw wrong()
  }
  if (!isObject(parsed)) throw wrong()
  const headers: OriginHeader[] = []
  for (const [uri, values] of Object.entries(parsed)) {
    if (!isObject(values)) throw wrong()
    for (const [name, value] of Object.entries(values)) {
      if (typeof value !== 'string') throw wrong()
      headers.push(header(where, name, value, new Secret(uri)))
    }
  }
  return headers
}

function header(
  qualifier: string,
  name: string,
  value: string,
  target: OriginHeader['target'],
): OriginHeader {
  if (!token.test(name)) {
    throw invalidField('qualifiers.name', `${shownName(qualifier)} does not name an HTTP header`)
  }
  if (refusedNames.has(name.toLowerCase())) {
    throw invalidField('qualifiers.name', `the header ${name} may not be set by a request`)
  }
  // Control characters would let a value start a header of its own; beyond Latin-1, HTTP/1 has none.
  if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) {
    throw invalidField(
      'qualifiers.value',
      `the value for ${quoteShort(name)} holds characters that a header cannot hold`,
    )
  }
  return { name, value: new Secret(value), target }
}

/**
 * A name that is wrong may hold the value as well ("http_header:Authorization: Bearer …"), so it is
 * shown only as far as it could be a header's name.
 */
function shownName(qualifier: string): string {
  const [shown = ''] =
    /^[:!#$%&'*+.^_`|~0-9A-Za-z-]*?(?=: |[^:!#$%&'*+.^_`|~0-9A-Za-z-]|$)/.exec(qualifier) ?? []
  return quoteShort(shown === qualifier ? shown : `${shown}…`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Headers by lower-case name, in the form in which they go to an origin. */
export type HeaderMap = ReadonlyMap<string, readonly Secret[]>

const noHeaders: HeaderMap = new Map()

/**
 * The headers that go to one URI of a request. A header for this URI alone replaces one for all,
 * compared without regard to case (spec of `http_header_url`); user and password in the URI itself
 * make an Authorization header unless one is given.
 */
export function headersForUri(
  headers: readonly OriginHeader[],
  uri: AssetUri,
  uriIndex: number,
): HeaderMap {
  if (headers.length === 0 && !uri.authorization) return noHeaders
  const merged = new Map<string, Secret[]>()
  if (uri.authorization) merged.set('authorization', [uri.authorization])
  for (const target of ['all', 'own'] as const) {
    const group = new Map<string, Secret[]>()
    for (const header of headers) {
      const isWanted = target === 'all' ? header.target === 'all' : isFor(header, uri, uriIndex)
      if (isWanted) append(group, header)
    }
    for (const [name, values] of group) merged.set(name, values)
  }
  return merged
}

function isFor({ target }: OriginHeader, uri: AssetUri, uriIndex: number): boolean {
  return target instanceof Secret ? target.reveal() === uri.sentText.reveal() : target === uriIndex
}

function append(group: Map<string, Secret[]>, { name, value }: OriginHeader): void {
  const key = name.toLowerCase()
  const values = group.get(key)
  if (values) values.push(value)
  else group.set(key, [value])
}
