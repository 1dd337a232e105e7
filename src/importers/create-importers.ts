import type { BlobStore } from '../cas/blob-store.ts'
import { ArchiveImporter } from './archive-importer.ts'
import { GitImporter } from './git-importer.ts'
import { ImportWorkerPool } from './import-worker-pool.ts'
import type { Importers } from './importers.ts'
import { defaultTreeLimits, type TreeLimits } from './tree-limits.ts'

export interface ImportersOptions {
  /** Where content and Directories go, and where archives are read from. */
  readonly store: BlobStore
  readonly limits?: TreeLimits
  /** Imports at once, each in a thread of its own. */
  readonly workersMax?: number
  readonly gitBinary?: string
  /** The process environment, or a part of it: PATH and the like for git. */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/** The importers over one store. Disposing of them ends their threads and fails what still runs. */
export function createImporters(options: ImportersOptions): Importers & AsyncDisposable {
  const { store, limits = defaultTreeLimits, workersMax = 2 } = options
  const workers = new ImportWorkerPool({ workersMax })
  const archives = new ArchiveImporter({ store, workers, limits })
  const repositories = new GitImporter({
    store,
    workers,
    limits,
    gitBinary: options.gitBinary ?? 'git',
    environment: options.environment ?? {},
  })
  return {
    importArchive: (archive, selection, signal) => archives.import(archive, selection, signal),
    importCommit: (commit, selection, signal) => repositories.import(commit, selection, signal),
    [Symbol.asyncDispose]: () => workers[Symbol.asyncDispose](),
  }
}
