import type { AssetKind } from '../asset/asset-request.ts'
import type { Digest, DigestFunction } from '../asset/digest.ts'
import type { Qualifier } from '../asset/qualifiers.ts'

/** What names an asset: equal keys are the same asset. */
export interface AssetKey {
  readonly kind: AssetKind
  readonly instance: string
  readonly digestFunction: DigestFunction
  readonly uri: string
  /** Stable qualifiers, sorted as `parseQualifiers` sorts them. */
  readonly qualifiers: readonly Qualifier[]
}

/** One known mapping from a key to content. */
export interface AssetRow extends AssetKey {
  readonly digest: Digest
  /** A pushed row is trusted by its pusher's word; a fetched one came from its origin. */
  readonly source: 'pushed' | 'fetched'
  /**
   * A keyed hash of the request headers that were sent to the origin, empty if there were none. It
   * answers requests with the same headers, or, where the key has a checksum, all. Rows of one key
   * with different scopes stand side by side. Empty for pushed rows, which answer everybody.
   */
  readonly scope: string
  /** When the push came or the retrieval began, in milliseconds since 1970. */
  readonly retrievedAtMs: number
  /** Not answered from this time on; undefined for never. */
  readonly expiresAtMs: number | undefined
  /** For conditional requests. */
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** Where redirects ended, fit for display. */
  readonly finalUri: string | undefined
  /** Qualifiers that the answer adds, e.g. the commit that a branch meant. */
  readonly resolved: readonly Qualifier[]
}

/** Rows of one URI that a superset search looks at, so that no URI can make a look-up slow. */
export const supersetsMax = 256

/**
 * Rows of one key that have a scope. Each rotating token makes a row, which nobody asks for any more
 * when the token has expired; those retrieved last are kept.
 */
export const scopedRowsMax = 256

/** The mappings. Failures of the index itself are AssetErrors of code UNAVAILABLE or INTERNAL. */
export interface AssetIndex extends AsyncDisposable {
  /**
   * Rows of exactly this key, the newest first. Whether a row is in scope, fresh and present is the
   * caller's to judge.
   */
  find(key: AssetKey): Promise<readonly AssetRow[]>

  /**
   * Pushed rows of the same kind, instance, function and URI whose qualifiers are a proper superset
   * of those asked for, the newest first; at most `supersetsMax` are looked at.
   */
  findPushedSupersets(key: AssetKey): Promise<readonly AssetRow[]>

  /**
   * Stores rows, each replacing the one of the same key and scope; of the rows of its key that have
   * a scope, the oldest beyond `scopedRowsMax` go. Safe when it resolves.
   */
  put(rows: readonly AssetRow[]): Promise<void>

  /** Key for hashing credentials into scopes: 32 random bytes, made once for an index. */
  readonly scopeKey: Uint8Array

  stats(): Promise<AssetIndexStats>
}

export interface AssetIndexStats {
  readonly assets: number
}
