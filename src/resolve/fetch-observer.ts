import type { AssetKind } from '../asset/asset-request.ts'

/** What is told about work at an origin and in an importer: for logs and metrics. */
export interface FetchObserver {
  /** Runs a fetch; the inner function reports bytes as they come. Rethrows what it throws. */
  observeFetch<T>(
    about: { readonly kind: AssetKind; readonly fetcher: string; readonly uri: string },
    run: (onBytes: (sizeBytes: number) => void) => Promise<T>,
  ): Promise<T>
  /** Runs an import. Rethrows what it throws. */
  observeImport<T>(format: 'archive' | 'git', run: () => Promise<T>): Promise<T>
}
