import type { AssetUri } from './asset-uri.ts'
import type { DigestFunction } from './digest.ts'
import type { Qualifiers } from './qualifiers.ts'

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
