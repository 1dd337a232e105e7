import type { AssetKind } from '../asset/asset-request.ts'
import { createFetchMetrics } from '../telemetry/fetch-metrics.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export interface FetchAbout {
  readonly kind: AssetKind
  /** Name of the fetcher. */
  readonly fetcher: string
  /** Fit for display. */
  readonly uri: string
}

/** What is told about work at an origin and in an importer: for logs and metrics. */
export interface FetchObserver {
  /** Runs a fetch; the inner function reports bytes as they come. Rethrows what it throws. */
  observeFetch<T>(
    about: FetchAbout,
    run: (onBytes: (sizeBytes: number) => void) => Promise<T>,
  ): Promise<T>
  /** Runs an import. Rethrows what it throws. */
  observeImport<T>(format: 'archive' | 'git', run: () => Promise<T>): Promise<T>
}

/** Counts fetches and imports, and logs a line for each fetch. */
export function createFetchObserver({
  metrics,
  log,
}: {
  readonly metrics: Metrics
  readonly log: Log
}): FetchObserver {
  const counted = createFetchMetrics(metrics)
  return {
    observeImport: counted.observeImport,
    async observeFetch(about, run) {
      const startedMs = performance.now()
      let sizeBytes = 0
      const fields = () => ({
        ...about,
        sizeBytes,
        durationMs: Math.round(performance.now() - startedMs),
      })
      try {
        const result = await counted.observeFetch(about, (onBytes) =>
          run((bytes) => {
            sizeBytes += bytes
            onBytes(bytes)
          }),
        )
        log.info('fetched', fields())
        return result
      } catch (error) {
        log.warn('fetch failed', { ...fields(), error })
        throw error
      }
    },
  }
}
