import { toAssetError } from '../asset/errors.ts'
import type { Metrics } from './metrics.ts'

/** What a fetch or import is counted under; small sets all of them. */
export interface FetchLabels {
  readonly kind: 'blob' | 'directory'
  readonly fetcher: string
}

/**
 * Counts fetches and imports. The shape is that of the resolver's observer, which cannot be named
 * here because telemetry lies below it.
 */
export function createFetchMetrics(
  metrics: Metrics,
  clock: () => number = () => performance.now(),
) {
  return {
    async observeFetch<T>(
      { kind, fetcher }: FetchLabels,
      run: (onBytes: (sizeBytes: number) => void) => Promise<T>,
    ): Promise<T> {
      const bytes = metrics.fetchBytes.labels({ fetcher })
      const startedMs = clock()
      let result = 'ok'
      metrics.fetchesInFlight.inc()
      try {
        return await run((sizeBytes) => bytes.inc(sizeBytes))
      } catch (error) {
        result = toAssetError(error).code.toLowerCase()
        throw error
      } finally {
        metrics.fetchesInFlight.dec()
        metrics.fetches.inc({ kind, fetcher, result })
        metrics.fetchDuration.observe({ fetcher }, (clock() - startedMs) / 1000)
      }
    },
    async observeImport<T>(format: 'archive' | 'git', run: () => Promise<T>): Promise<T> {
      const startedMs = clock()
      let result = 'ok'
      try {
        return await run()
      } catch (error) {
        result = toAssetError(error).code.toLowerCase()
        throw error
      } finally {
        metrics.imports.inc({ format, result })
        metrics.importDuration.observe({ format }, (clock() - startedMs) / 1000)
      }
    },
  }
}
