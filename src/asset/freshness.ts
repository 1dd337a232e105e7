/**
 * How content without a checksum may be answered again:
 * - `revalidate`: for as long as the client's `oldest_content_accepted` allows; after that, ask the
 *   origin whether it changed;
 * - `ttl`: the same, and not longer than `ttlMs`;
 * - `immutable`: for ever, whatever the client asks;
 * - `refuse`: content without a checksum is not fetched at all.
 */
export type Freshness =
  | { readonly rule: 'revalidate' }
  | { readonly rule: 'ttl'; readonly ttlMs: number }
  | { readonly rule: 'immutable' }
  | { readonly rule: 'refuse' }

/** Times that decide whether held content may be answered, in milliseconds since 1970. */
export interface FreshnessQuestion {
  readonly retrievedAtMs: number
  /** True if the request names a checksum or a commit, so that another answer is impossible. */
  readonly isImmutable: boolean
  readonly oldestAcceptedMs: number | undefined
  readonly nowMs: number
}

/**
 * `oldest_content_accepted` is compared with the time at which the retrieval began. A bound in the
 * future (Bazel sends now + 1 h where it has no checksum) is met by nothing that is held: it means
 * that the origin must be asked now.
 */
export function isFresh(question: FreshnessQuestion, freshness: Freshness): boolean {
  const { retrievedAtMs, isImmutable, oldestAcceptedMs, nowMs } = question
  if (isImmutable || freshness.rule === 'immutable') return true
  if (oldestAcceptedMs !== undefined && retrievedAtMs < oldestAcceptedMs) return false
  return freshness.rule !== 'ttl' || nowMs - retrievedAtMs < freshness.ttlMs
}
