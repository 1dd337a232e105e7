import type { Digest } from '../asset/digest.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { gitEnvironment } from '../util/git-environment.ts'
import { runImportJob } from './import-job.ts'
import type { ImportWorkerPool } from './import-worker-pool.ts'
import type { TreeSelection } from './importers.ts'
import type { TreeLimits } from './tree-limits.ts'
import { selectedPath } from './tree-path.ts'

export interface GitImporterOptions {
  readonly store: BlobStore
  readonly workers: ImportWorkerPool
  readonly limits: TreeLimits
  /** The git program: a name on the PATH, or a path. */
  readonly gitBinary: string
  /** Of this process; only what git needs is taken from it. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Reads a commit's tree into the store, in a worker; see `Importers.importCommit`. */
export class GitImporter {
  readonly #options: GitImporterOptions

  constructor(options: GitImporterOptions) {
    this.#options = options
  }

  async import(
    { gitDir, commit }: { readonly gitDir: string; readonly commit: string },
    selection: TreeSelection,
    signal: AbortSignal,
  ): Promise<Digest> {
    const { store, workers, limits, gitBinary } = this.#options
    selectedPath(selection)
    const environment = gitEnvironment({ environment: this.#options.environment, protocols: [] })
    return workers.use(signal, (worker) =>
      runImportJob(worker, {
        job: { type: 'commit', gitDir, commit, gitBinary, environment, selection, limits },
        store,
        signal,
      }),
    )
  }
}
