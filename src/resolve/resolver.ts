import type { AssetRequest } from '../asset/asset-request.ts'
import type { Digest } from '../asset/digest.ts'
import type { Qualifier } from '../asset/qualifiers.ts'

/** The answer to an AssetRequest: content that is in the CAS now. */
export interface Resolved {
  readonly digest: Digest
  /** The one of the request's URIs that the content answers for. */
  readonly uri: string
  /** Qualifiers beyond those asked for, e.g. the commit that a branch meant. */
  readonly resolved: readonly Qualifier[]
  readonly expiresAtMs: number | undefined
}

/**
 * Maps a request to content, by what is known or from an origin. Decorators of it add one thing
 * each. Fails with AssetErrors as `fetchers/fetcher.ts` lists them, and CHECKSUM_MISMATCH.
 */
export interface Resolver {
  /** `signal` ends this caller's waiting; shared work may go on for others and for later. */
  resolve(request: AssetRequest, signal: AbortSignal): Promise<Resolved>
}
