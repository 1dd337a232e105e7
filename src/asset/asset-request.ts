import type { AssetUri } from './asset-uri.ts'
import type { DigestFunction } from './digest.ts'
import { type HeaderMap, headersForUri } from './origin-headers.ts'
import { type Qualifiers, withHeaders } from './qualifiers.ts'

export type AssetKind = 'blob' | 'directory'

/** What FetchBlob and FetchDirectory ask for, parsed and trusted from here on. */
export interface AssetRequest {
  readonly kind: AssetKind
  /** Any string, the empty one too; a name space of its own for assets. */
  readonly instance: string
  /** At least one; mirrors of the same content, tried in order. */
  readonly uris: readonly AssetUri[]
  readonly qualifiers: Qualifiers
  /** The function of the digest that is answered. */
  readonly digestFunction: DigestFunction
  /** `oldest_content_accepted`, in milliseconds since 1970; undefined if any age will do. */
  readonly oldestAcceptedMs: number | undefined
  /** `timeout` of the request for the work at the origin; undefined for the configured one. */
  readonly timeoutMs: number | undefined
}

/** One URI of a request, and the headers that go to it. */
export interface RequestTarget {
  readonly uri: AssetUri
  readonly headers: HeaderMap
}

export function targetsOf(request: AssetRequest): RequestTarget[] {
  return request.uris.map((uri, index) => ({
    uri,
    headers: headersForUri(request.qualifiers.headers, uri, index),
  }))
}

/** A request like this one for a single URI of it, with just the headers that go there. */
export function narrowToUri(request: AssetRequest, { uri, headers }: RequestTarget): AssetRequest {
  const own = [...headers].flatMap(([name, values]) =>
    values.map((value) => ({ name, value, target: 'all' as const })),
  )
  return { ...request, uris: [uri], qualifiers: withHeaders(request.qualifiers, own) }
}
