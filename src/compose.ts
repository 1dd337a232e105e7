import { join } from 'node:path'
import { createAdminServer } from './admin/http-server.ts'
import type { Freshness } from './asset/freshness.ts'
import { uriGlob } from './asset/uri-glob.ts'
import type { AssetIndex } from './asset-index/asset-index.ts'
import { cachingAssetIndex } from './asset-index/caching-asset-index.ts'
import { SqliteAssetIndex } from './asset-index/sqlite/sqlite-asset-index.ts'
import type { BlobStore } from './cas/blob-store.ts'
import { LocalBlobStore } from './cas/local/local-blob-store.ts'
import type { Config, FreshnessRule } from './config/config.ts'
import { listenAddressText } from './config/listen-address.ts'
import { createGitFetcher } from './fetchers/git/git-fetcher.ts'
import { createHttpFetcher } from './fetchers/http-fetcher.ts'
import { createImporters } from './importers/create-importers.ts'
import { composeResolver } from './resolve/compose-resolver.ts'
import { createFetchObserver } from './resolve/fetch-observer.ts'
import type { Resolver } from './resolve/resolver.ts'
import { createActionCacheService } from './services/action-cache.ts'
import { createByteStreamService } from './services/byte-stream.ts'
import { createCapabilitiesService } from './services/capabilities.ts'
import { createContentAddressableStorageService } from './services/content-addressable-storage.ts'
import { createFetchService } from './services/fetch.ts'
import { createInstances } from './services/instances.ts'
import { createPushService } from './services/push.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { callTelemetry } from './wire/call-telemetry.ts'
import { createGrpcServer } from './wire/grpc-server.ts'
import { createHealth } from './wire/health.ts'
import * as wire from './wire/methods.ts'
import { createReflection } from './wire/reflection.ts'

/** How long running calls may go on when the server is told to end. */
const drainMs = 10_000

/** Before that time is up, fetches are ended, so that their callers still get an answer. */
const lastAnswersMs = 500

/** What a server takes from the process that it runs in. */
export interface Surroundings {
  readonly log: Log
  /** Of Larder itself. */
  readonly version: string
  /** For the programs that are run: PATH, proxies, the ssh agent. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface RunningServer {
  /** `host:port` or `unix:/path`, with the real port. */
  readonly grpcAddress: string
  readonly httpAddress: string | undefined
  /** Takes no new calls, lets running ones end for a while, and gives everything back. */
  close(): Promise<void>
}

/**
 * Puts a server together from its configuration and starts it.
 * @throws Error with one sentence if an address cannot be listened on or the data cannot be opened
 */
export async function startServer(
  config: Config,
  surroundings: Surroundings,
): Promise<RunningServer> {
  const { log, version } = surroundings
  await using owned = new AsyncDisposableStack()
  const metrics = owned.use(createMetrics({ version }))
  const store = owned.use(await openStore(config))
  const index = owned.use(await openIndex(config))
  const resolver = createResolver(config, surroundings, { store, index, metrics }, owned)
  // A count that cannot be had is left out of a scrape: the other figures then matter most.
  const assets = () =>
    index.stats().then(
      (stats) => stats.assets,
      () => undefined,
    )
  metrics.watch({ cas: () => store.stats(), assets })

  const services = createServices(config, store, index, resolver)
  const names = services.map((service) => service.name)
  const health = createHealth(names)
  const grpc = owned.use(
    createGrpcServer({
      services: [...services, health.service],
      hooks: callTelemetry(services, { log, metrics }),
      extensions: [createReflection([...names, health.service.name])],
    }),
  )
  const { address } = await grpc.listen(listenAddressText(config.grpc.listen))

  let isDraining = false
  const admin = createAdminServer({
    log,
    metrics,
    checks: {
      cas: async () => void (await store.check()),
      index: async () => void (await index.stats()),
    },
    isStarted: () => true,
    isDraining: () => isDraining,
    status: async () => ({
      version,
      uptimeSeconds: Math.round(process.uptime()),
      mode: config.fetch.mode,
      grpcAddress: address,
      httpAddress,
      data: config.dataDirectory,
      cas: store.stats(),
      assets: await assets(),
    }),
  })
  owned.use(admin)
  const httpAddress = config.http.listen && (await admin.listen(config.http.listen))
  const running = owned.move()
  return {
    grpcAddress: address,
    httpAddress,
    async close() {
      isDraining = true
      health.close()
      const timer = setTimeout(() => resolver[Symbol.dispose](), drainMs - lastAnswersMs)
      await grpc.shutdown(drainMs)
      clearTimeout(timer)
      await running.disposeAsync()
    },
  }
}

function openStore({ dataDirectory, cas }: Config): Promise<LocalBlobStore> {
  return LocalBlobStore.open(join(dataDirectory, 'cas'), {
    sizeBytesMax: cas.sizeBytesMax,
    blobSizeBytesMax: cas.blobSizeBytesMax,
    durability: cas.durability,
  })
}

async function openIndex({ dataDirectory, cas }: Config): Promise<AssetIndex> {
  const index = await SqliteAssetIndex.open({
    path: join(dataDirectory, 'assets.db'),
    durability: cas.durability,
  })
  return cachingAssetIndex(index)
}

interface ResolverRooms {
  readonly store: BlobStore
  readonly index: AssetIndex
  readonly metrics: Metrics
}

function createResolver(
  config: Config,
  { log, version, environment }: Surroundings,
  { store, index, metrics }: ResolverRooms,
  owned: AsyncDisposableStack,
): Resolver & Disposable {
  const { fetch, git, archive, push } = config
  const http = createHttpFetcher({
    userAgent: `larder/${version}`,
    limits: { redirectsMax: fetch.redirectsMax, sizeBytesMax: fetch.sizeBytesMax },
  })
  const repositories = createGitFetcher({
    mirrorsDirectory: join(config.dataDirectory, 'mirrors'),
    protocols: git.protocols,
    environment,
  })
  const importers = createImporters({ store, limits: archive, environment })
  owned.use(importers)
  owned.use(http)
  return owned.use(
    composeResolver(
      {
        index,
        store,
        // Git first: a repository may be named by an http URL.
        fetchers: [repositories, http],
        importers,
        observer: createFetchObserver({ metrics, log }),
        onLookup: (result) => metrics.indexLookups.inc({ result }),
        clock: Date.now,
        random: Math.random,
      },
      {
        ...fetch,
        isOffline: fetch.mode === 'offline',
        trustsPushes: !push.requireBlobs,
        freshnessOf: freshnessOf(fetch.freshness),
      },
    ),
  )
}

function createServices(
  config: Config,
  store: LocalBlobStore,
  index: AssetIndex,
  resolver: Resolver,
): wire.BoundService[] {
  const instances = createInstances(config.instances)
  const { failures } = config.fetch
  const { requireBlobs } = config.push
  const cache = { store, instances, results: store.actionResults, actionCacheUpdates: true }
  return [
    wire.bindService(wire.fetchService, createFetchService({ resolver, instances, failures })),
    wire.bindService(
      wire.pushService,
      createPushService({ index, store, instances, requireBlobs, clock: Date.now }),
    ),
    wire.bindService(
      wire.contentAddressableStorageService,
      createContentAddressableStorageService(cache),
    ),
    wire.bindService(wire.byteStreamService, createByteStreamService(cache)),
    wire.bindService(wire.actionCacheService, createActionCacheService(cache)),
    wire.bindService(wire.capabilitiesService, createCapabilitiesService(cache)),
  ]
}

/** The first rule that matches a URI decides. */
function freshnessOf(rules: readonly FreshnessRule[]): (uri: string) => Freshness {
  const compiled = rules.map(({ uri, freshness }) => ({ matches: uriGlob(uri), freshness }))
  return (uri) => compiled.find(({ matches }) => matches(uri))?.freshness ?? { rule: 'revalidate' }
}
