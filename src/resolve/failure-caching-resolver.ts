import { LRUCache } from 'lru-cache'
import { AssetError, type AssetErrorCode } from '../asset/errors.ts'
import type { Resolver } from './resolver.ts'
import { flightKey } from './single-flight-resolver.ts'

/** Failures remembered at once; an entry holds a message of some hundred bytes. */
const failuresMax = 10_000

/** What the origin is to blame for. Our own troubles are not remembered. */
const rememberedCodes: ReadonlySet<AssetErrorCode> = new Set([
  'NOT_FOUND',
  'PERMISSION_DENIED',
  'CHECKSUM_MISMATCH',
  'UPSTREAM_UNAVAILABLE',
])

export interface FailureCachingOptions {
  readonly scopeKey: Uint8Array
  /** How long a failure is remembered, where the origin did not say when to come back. */
  readonly failureTtlMs: number
  readonly clock: () => number
}

/**
 * Remembers failed fetches for some seconds, so that a client's retries (Bazel makes six in 3.3 s)
 * are one request to the origin. An answer from memory says when the next try can succeed.
 */
export function failureCachingResolver(inner: Resolver, options: FailureCachingOptions): Resolver {
  const { clock, failureTtlMs, scopeKey } = options
  const failures = new LRUCache<string, { error: AssetError; untilMs: number }>({
    max: failuresMax,
  })
  return {
    async resolve(request, signal) {
      const key = flightKey(request, scopeKey)
      const known = failures.get(key)
      if (known && known.untilMs > clock()) throw again(known.error, known.untilMs - clock())
      try {
        const resolved = await inner.resolve(request, signal)
        failures.delete(key)
        return resolved
      } catch (error) {
        if (error instanceof AssetError && rememberedCodes.has(error.code)) {
          const untilMs = clock() + Math.max(failureTtlMs, error.retryAfterMs ?? 0)
          failures.set(key, { error, untilMs })
        }
        throw error
      }
    },
  }
}

function again(error: AssetError, retryAfterMs: number): AssetError {
  return new AssetError(error.code, error.message, {
    cause: error,
    retryAfterMs,
    ...(error.uri === undefined ? {} : { uri: error.uri }),
  })
}
