import { type AssetRequest, targetsOf } from '../asset/asset-request.ts'
import { displayUri } from '../asset/asset-uri.ts'
import { AssetError } from '../asset/errors.ts'
import { SingleFlight } from '../util/single-flight.ts'
import { accessScope } from './access-scope.ts'
import type { Resolved, Resolver } from './resolver.ts'

export interface SingleFlightOptions {
  readonly scopeKey: Uint8Array
  /** Time for the work where the request says none. */
  readonly timeoutMsOf: (request: AssetRequest) => number
  /** The longest time that a request may allow. */
  readonly timeoutMsMax: number
}

/**
 * Shares one running fetch between all requests for the same asset, and lets it go on when its
 * callers have left: Bazel gives up after 60 s (`--remote_timeout`) and asks again, and its next
 * call must find the work done and not begin it anew.
 * A request that names a time waits no longer than that, also for work that others gave more.
 * A flight ends only after its row is stored. The work must begin with a look-up, since the caller's
 * own may have begun before that and ended after it.
 */
export function singleFlightResolver(
  inner: Resolver,
  options: SingleFlightOptions,
): Resolver & Disposable {
  const flights = new SingleFlight<Resolved>()
  return {
    resolve(request, signal) {
      const timeoutMs = Math.min(
        request.timeoutMs ?? options.timeoutMsOf(request),
        options.timeoutMsMax,
      )
      const waiting =
        request.timeoutMs === undefined
          ? signal
          : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
      const key = flightKey(request, options.scopeKey)
      return flights
        .join(key, timeoutMs, waiting, (own) => inner.resolve(request, own))
        .catch((error) => {
          throw isTimeout(error) ? tooSlow(request, timeoutMs) : error
        })
    },
    [Symbol.dispose]() {
      flights.abort(new AssetError('UNAVAILABLE', 'the server is shutting down'))
    },
  }
}

/** Kind, instance, function, the set of URIs with who may see them, and the stable qualifiers. */
export function flightKey(request: AssetRequest, scopeKey: Uint8Array): string {
  const uris = targetsOf(request)
    .map(({ uri, headers }) => [uri.text, accessScope(scopeKey, headers)])
    .sort()
  return JSON.stringify([
    request.kind,
    request.instance,
    request.digestFunction,
    uris,
    request.qualifiers.stable.map(({ name, value }) => [name, value]),
  ])
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}

function tooSlow(request: AssetRequest, timeoutMs: number): AssetError {
  const uri = displayUri(request.uris[0]?.text ?? '')
  return new AssetError(
    'DEADLINE_EXCEEDED',
    `${uri}: fetching it took longer than ${timeoutMs / 1000} s`,
    { uri },
  )
}
