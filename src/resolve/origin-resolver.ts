import { setTimeout as sleep } from 'node:timers/promises'
import { type AssetRequest, type RequestTarget, targetsOf } from '../asset/asset-request.ts'
import { displayUri } from '../asset/asset-uri.ts'
import { AssetError, toAssetError } from '../asset/errors.ts'
import { unsupportedQualifiers } from '../asset/qualifiers.ts'
import { type UriFailure, worstFailure } from './failures.ts'
import type { Resolved, Resolver } from './resolver.ts'
import type { UriResolver } from './uri-resolver.ts'

export interface OriginResolverOptions {
  readonly uris: UriResolver
  /** Rounds over the URIs; after the first, only those that failed for a passing reason. */
  readonly attempts: number
  /** Wait before the second round; doubled each round, with jitter. */
  readonly retryDelayMs: number
  /** Returns a number from 0 to 1, for the jitter. */
  readonly random: () => number
}

/**
 * Gets an asset from the first of its URIs that gives it. The URIs are mirrors of one content, so a
 * failure of one, a wrong checksum too, only leads to the next; trouble that may pass is retried
 * after all others were asked.
 */
export function originResolver(options: OriginResolverOptions): Resolver {
  return {
    async resolve(request, signal) {
      if (request.qualifiers.unknownNames.length > 0) {
        throw unsupportedQualifiers(request.qualifiers.unknownNames)
      }
      // By target and not by text: two URIs may differ in their passwords alone.
      const failures = new Map<RequestTarget, UriFailure>()
      let targets = targetsOf(request)
      for (let attempt = 1; ; attempt += 1) {
        const resolved = await firstToAnswer(options.uris, request, targets, failures, signal)
        if (resolved) return resolved
        targets = targets.filter((target) => failures.get(target)?.mayPass)
        if (targets.length === 0 || attempt >= options.attempts) {
          throw worstFailure([...failures.values()])
        }
        await sleep(delayMs(options, attempt), undefined, { signal })
      }
    },
  }
}

async function firstToAnswer(
  uris: UriResolver,
  request: AssetRequest,
  targets: readonly RequestTarget[],
  failures: Map<RequestTarget, UriFailure>,
  signal: AbortSignal,
): Promise<Resolved | undefined> {
  for (const target of targets) {
    try {
      return await uris.resolveUri(request, target, signal)
    } catch (error) {
      // The work's own end is nobody's failure, least of all this mirror's.
      signal.throwIfAborted()
      const failure = toAssetError(error)
      if (isOurTrouble(failure)) throw failure
      const uri = displayUri(target.uri.text)
      failures.set(target, {
        uri,
        error: naming(uri, failure),
        // An origin that says when to come back is not asked before.
        mayPass: failure.code === 'UPSTREAM_UNAVAILABLE' && failure.retryAfterMs === undefined,
      })
    }
  }
  return undefined
}

/** What goes wrong after the fetch, such as in an archive, does not know where the bytes came from. */
function naming(uri: string, error: AssetError): AssetError {
  if (error.uri !== undefined || error.message.includes(uri)) return error
  const { code, message, cause, violations, retryAfterMs } = error
  return new AssetError(code, `${uri}: ${message}`, {
    cause: cause ?? error,
    violations,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    uri,
  })
}

/** What would fail for every URI alike. */
function isOurTrouble({ code }: AssetError): boolean {
  return code === 'INTERNAL' || code === 'UNAVAILABLE'
}

function delayMs({ retryDelayMs, random }: OriginResolverOptions, attempt: number): number {
  return retryDelayMs * 2 ** (attempt - 1) * (0.5 + random())
}
