import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { AssetError, type AssetErrorCode } from '../asset/errors.ts'
import type { Resolver } from './resolver.ts'
import { flightKey } from './single-flight-resolver.ts'

/** Failures remembered at once: 40 MB, should each have the longest message. */
const failuresMax = 10_000

/** A message may list each of the client's checksums; the wire shows its first 2 KiB. */
const messageCharsMax = 4096

interface RememberedFailure {
  readonly code: AssetErrorCode
  readonly message: string
  readonly uri: string | undefined
  readonly untilMs: number
}

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
  const failures = new LRUCache<string, RememberedFailure>({ max: failuresMax })
  return {
    async resolve(request, signal) {
      // Hashed, since URIs and qualifiers can be some hundred kilobytes.
      const key = hash('sha256', flightKey(request, scopeKey), 'base64')
      const known = failures.get(key)
      if (known && known.untilMs > clock()) throw again(known, known.untilMs - clock())
      try {
        const resolved = await inner.resolve(request, signal)
        failures.delete(key)
        return resolved
      } catch (error) {
        if (error instanceof AssetError && rememberedCodes.has(error.code)) {
          const untilMs = clock() + Math.max(failureTtlMs, error.retryAfterMs ?? 0)
          const message = error.message.slice(0, messageCharsMax).toWellFormed()
          failures.set(key, { code: error.code, message, uri: error.uri, untilMs })
        }
        throw error
      }
    },
  }
}

function again({ code, message, uri }: RememberedFailure, retryAfterMs: number): AssetError {
  return new AssetError(code, message, { retryAfterMs, ...(uri === undefined ? {} : { uri }) })
}
