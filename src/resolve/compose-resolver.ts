import type { AssetRequest } from '../asset/asset-request.ts'
import type { Freshness } from '../asset/freshness.ts'
import type { AssetIndex } from '../asset-index/asset-index.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { Fetcher } from '../fetchers/fetcher.ts'
import type { Importers } from '../importers/importers.ts'
import { cachingResolver, type LookupResult } from './caching-resolver.ts'
import { failureCachingResolver } from './failure-caching-resolver.ts'
import type { FetchObserver } from './fetch-observer.ts'
import { FetchSlots } from './fetch-slots.ts'
import { originResolver } from './origin-resolver.ts'
import type { Resolver } from './resolver.ts'
import { singleFlightResolver } from './single-flight-resolver.ts'
import { TreePresence } from './tree-presence.ts'
import { UriResolver } from './uri-resolver.ts'

/** Wait before the second round over the URIs of a request, in milliseconds. */
const retryDelayMs = 200

export interface ResolverParts {
  readonly index: AssetIndex
  readonly store: BlobStore
  /** In the order in which they are asked whether they accept a request. */
  readonly fetchers: readonly Fetcher[]
  readonly importers: Importers
  readonly observer: FetchObserver
  readonly onLookup: (result: LookupResult) => void
  readonly clock: () => number
  readonly random: () => number
}

export interface ResolverSettings {
  readonly isOffline: boolean
  readonly trustsPushes: boolean
  readonly timeoutMs: number
  readonly gitTimeoutMs: number
  readonly concurrency: number
  readonly perHost: number
  readonly queueMax: number
  readonly sizeBytesMax: number
  readonly attempts: number
  readonly failureTtlMs: number
  readonly freshnessOf: (uri: string) => Freshness
}

/**
 * The way of a request: what is known ▸ work that runs already ▸ what failed just now ▸ the URIs in
 * order. Disposing of it ends all work.
 */
export function composeResolver(
  parts: ResolverParts,
  settings: ResolverSettings,
): Resolver & Disposable {
  const { index, store, clock } = parts
  const { scopeKey } = index
  const trees = new TreePresence({ store, clock })
  const uris = new UriResolver({
    ...parts,
    trees,
    slots: new FetchSlots(settings),
    freshnessOf: settings.freshnessOf,
    isOffline: settings.isOffline,
    sizeBytesMax: settings.sizeBytesMax,
    whole: () => whole,
  })
  const origin = originResolver({ ...parts, uris, attempts: settings.attempts, retryDelayMs })
  const remembering = failureCachingResolver(origin, {
    scopeKey,
    failureTtlMs: settings.failureTtlMs,
    clock,
  })
  const known = {
    ...parts,
    trees,
    freshnessOf: settings.freshnessOf,
    acceptsAnyAge: settings.isOffline,
    trustsPushes: settings.trustsPushes,
  }
  // Looked up once more: what ran when the look-up began may have been done when it ended.
  const afresh = cachingResolver(remembering, { ...known, onLookup: () => {} })
  const shared = singleFlightResolver(afresh, {
    scopeKey,
    timeoutMsOf: (request) => timeoutMsOf(request, settings),
    timeoutMsMax: Math.max(settings.timeoutMs, settings.gitTimeoutMs),
  })
  const whole = cachingResolver(shared, known)
  return { resolve: whole.resolve, [Symbol.dispose]: () => shared[Symbol.dispose]() }
}

/** Trees take longer than files: a repository is fetched or an archive unpacked. */
function timeoutMsOf({ kind }: AssetRequest, settings: ResolverSettings): number {
  return kind === 'directory' ? settings.gitTimeoutMs : settings.timeoutMs
}
