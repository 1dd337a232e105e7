import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Figures that are read when a scrape comes. Undefined where they are not known. */
export interface GaugeSources {
  readonly cas?: () =>
    | {
        readonly blobs: number
        readonly sizeBytes: number
        readonly sizeBytesMax: number
        readonly evictedBytes: number
      }
    | undefined
  readonly assets?: () => Promise<number | undefined>
}

/** The meters of one gRPC method, resolved once, so that a call costs no label look-up. */
export interface MethodMeter {
  started(): void
  /** @param code name of the gRPC status, e.g. `OK` */
  handled(code: string, durationSeconds: number): void
}

export type Metrics = ReturnType<typeof createMetrics>

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120]
const longSecondsBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]

/**
 * All metrics of one server, in a registry of its own. No label ever holds what a client or an
 * origin chose (URIs, hosts, instance names): their number has no bound.
 */
export function createMetrics(build: { readonly version: string }) {
  const registry = new Registry()
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name, help, labelNames, registers })
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Histogram({ name, help, labelNames, buckets: longSecondsBuckets, registers })

  const grpc = createGrpcMetrics(registry)
  const metrics = {
    registry,
    methodMeter: grpc,
    fetches: counter('larder_fetches_total', 'Fetches from origins.', [
      'kind',
      'fetcher',
      'result',
    ] as const),
    fetchDuration: histogram('larder_fetch_duration_seconds', 'Time that a fetch took.', [
      'fetcher',
    ] as const),
    fetchBytes: counter('larder_fetch_bytes_total', 'Bytes that came from origins.', [
      'fetcher',
    ] as const),
    fetchesInFlight: new Gauge({
      name: 'larder_fetches_in_flight',
      help: 'Fetches that run now.',
      registers,
    }),
    indexLookups: counter('larder_index_lookups_total', 'Look-ups in the asset index.', [
      'result',
    ] as const),
    imports: counter('larder_imports_total', 'Archives and repositories taken in.', [
      'format',
      'result',
    ] as const),
    importDuration: histogram('larder_import_duration_seconds', 'Time that an import took.', [
      'format',
    ] as const),
    /** Names the sources of the gauges over stores; until then they are absent from a scrape. */
    watch: (sources: GaugeSources) => registerStoreGauges(registry, sources),
    contentType: registry.contentType,
    /** The text of a scrape. */
    text: () => registry.metrics(),
    /** Stops the event loop's monitor; the registry may still be read. */
    [Symbol.dispose]: registerProcessMetrics(registry, build.version),
  }
  return metrics
}

function createGrpcMetrics(registry: Registry) {
  const labels = ['grpc_service', 'grpc_method', 'grpc_type'] as const
  const registers = [registry]
  const started = new Counter({
    name: 'grpc_server_started_total',
    help: 'Calls that began.',
    labelNames: labels,
    registers,
  })
  const handled = new Counter({
    name: 'grpc_server_handled_total',
    help: 'Calls that ended, by status.',
    labelNames: [...labels, 'grpc_code'] as const,
    registers,
  })
  const handling = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'Time from the start of a call to its end.',
    labelNames: labels,
    buckets: secondsBuckets,
    registers,
  })
  /** @param path e.g. `/google.bytestream.ByteStream/Read` */
  return (path: string, type: 'unary' | 'serverStream' | 'clientStream'): MethodMeter => {
    const [, service = '', method = ''] = path.split('/')
    const grpcType = {
      unary: 'unary',
      serverStream: 'server_stream',
      clientStream: 'client_stream',
    }
    const values = { grpc_service: service, grpc_method: method, grpc_type: grpcType[type] }
    const startedHere = started.labels(values)
    const handlingHere = handling.labels(values)
    const handledHere = new Map<string, { inc(): void }>()
    return {
      started: () => startedHere.inc(),
      handled(code, durationSeconds) {
        let child = handledHere.get(code)
        if (child === undefined) {
          child = handled.labels({ ...values, grpc_code: code })
          handledHere.set(code, child)
        }
        child.inc()
        handlingHere.observe(durationSeconds)
      },
    }
  }
}

function registerStoreGauges(registry: Registry, sources: GaugeSources): void {
  const gauge = (
    name: string,
    help: string,
    read: () => number | Promise<number | undefined> | undefined,
  ) => {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const value = await read()
        if (value === undefined) this.remove()
        else this.set(value)
      },
    })
  }
  gauge('larder_cas_size_bytes', 'Bytes of content held.', () => sources.cas?.()?.sizeBytes)
  gauge('larder_cas_blobs', 'Blobs held.', () => sources.cas?.()?.blobs)
  gauge(
    'larder_cas_size_limit_bytes',
    'Bytes of content that may be held (cas.maxSize).',
    () => sources.cas?.()?.sizeBytesMax,
  )
  gauge('larder_assets', 'Assets in the index.', () => sources.assets?.())
  let evictedBytes = 0
  new Counter({
    name: 'larder_cas_evicted_bytes_total',
    help: 'Bytes of content evicted since the start.',
    registers: [registry],
    collect() {
      // The store counts by itself; a counter may only grow, so what was added since is added.
      const now = sources.cas?.()?.evictedBytes ?? evictedBytes
      if (now > evictedBytes) this.inc(now - evictedBytes)
      evictedBytes = Math.max(evictedBytes, now)
    },
  })
}

function registerProcessMetrics(registry: Registry, version: string): () => void {
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'larder_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'] as const,
    registers: [registry],
  }).set({ version, node: process.versions.node }, 1)
  // The monitor measures from one of its ticks to the next, so what is beyond the tick is the delay.
  const tickMs = 10
  const delay = monitorEventLoopDelay({ resolution: tickMs })
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - tickMs / 1000)
  delay.enable()
  new Gauge({
    name: 'larder_event_loop_delay_seconds',
    help: 'How late the event loop was since the last scrape, by quantile.',
    labelNames: ['quantile'] as const,
    registers: [registry],
    collect() {
      for (const quantile of [0.5, 0.9, 0.99, 0.999]) {
        this.set({ quantile: String(quantile) }, seconds(delay.percentile(quantile * 100)))
      }
      this.set({ quantile: '1' }, seconds(delay.max))
      delay.reset()
    },
  })
  return () => void delay.disable()
}
