import type { Digest } from '../asset/digest.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { runImportJob } from './import-job.ts'
import type { ImportWorkerPool } from './import-worker-pool.ts'
import type { TreeSelection } from './importers.ts'
import type { TreeLimits } from './tree-limits.ts'
import { selectedPath } from './tree-path.ts'

/** Fewer, larger messages to the worker than the store's default chunks would make. */
const readChunkBytes = 1024 * 1024

export interface ArchiveImporterOptions {
  readonly store: BlobStore
  readonly workers: ImportWorkerPool
  readonly limits: TreeLimits
}

/** Unpacks an archive of the store into the store, in a worker; see `Importers.importArchive`. */
export class ArchiveImporter {
  readonly #options: ArchiveImporterOptions

  constructor(options: ArchiveImporterOptions) {
    this.#options = options
  }

  async import(archive: Digest, selection: TreeSelection, signal: AbortSignal): Promise<Digest> {
    const { store, workers, limits } = this.#options
    // A bad selection is refused before any work.
    selectedPath(selection)
    return workers.use(signal, (worker) =>
      runImportJob(worker, {
        job: { type: 'archive', packedBytes: archive.sizeBytes, selection, limits },
        store,
        archive: store.read(archive, { chunkBytes: readChunkBytes, reusesMemory: true }),
        signal,
      }),
    )
  }
}
