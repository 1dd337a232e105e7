import type { MessagePort } from 'node:worker_threads'
import type { AssetErrorCode } from '../asset/errors.ts'
import type { TreeSelection } from './importers.ts'
import type { TreeLimits } from './tree-limits.ts'

/** What a worker is given to do. Each job talks over a port of its own, which ends with it. */
export type ImportJob = ArchiveJob | CommitJob

export interface ArchiveJob {
  readonly type: 'archive'
  readonly packedBytes: number
  readonly selection: TreeSelection
  readonly limits: TreeLimits
}

export interface CommitJob {
  readonly type: 'commit'
  readonly gitDir: string
  readonly commit: string
  readonly gitBinary: string
  readonly environment: Readonly<Record<string, string>>
  readonly selection: TreeSelection
  readonly limits: TreeLimits
}

export interface JobStart {
  readonly job: ImportJob
  readonly port: MessagePort
}

/** A blob in the memory of a batch, and its hashes by digest function. */
export interface PackedBlob {
  readonly offset: number
  readonly sizeBytes: number
  readonly hashes: BlobHashes
}

export interface BlobHashes {
  readonly sha256: string
  /** Under the function of the tree; undefined if that is SHA256. */
  readonly named: string | undefined
  /** The id of a git blob, where it is known. */
  readonly gitSha1: string | undefined
}

/** From the worker. `batch` and `upload-chunk` are each answered by `taken`. */
export type WorkerMessage =
  | { readonly type: 'more' }
  | { readonly type: 'batch'; readonly memory: ArrayBuffer; readonly blobs: readonly PackedBlob[] }
  | { readonly type: 'upload-begin'; readonly sizeBytes: number }
  | { readonly type: 'upload-chunk'; readonly memory: ArrayBuffer }
  | { readonly type: 'upload-end'; readonly gitSha1: string | undefined }
  | { readonly type: 'find'; readonly gitIds: readonly string[] }
  | { readonly type: 'done'; readonly hash: string; readonly sizeBytes: number }
  | { readonly type: 'failed'; readonly code: AssetErrorCode; readonly message: string }

/** To the worker. */
export type MainMessage =
  | { readonly type: 'chunk'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  | { readonly type: 'taken' }
  /** Answer to `upload-end`: the hash under the function of the tree. */
  | { readonly type: 'uploaded'; readonly hash: string }
  /** Answer to `find`, in the order asked. */
  | { readonly type: 'found'; readonly blobs: readonly (FoundBlob | undefined)[] }

/** Under the function of the tree. */
export interface FoundBlob {
  readonly hash: string
  readonly sizeBytes: number
}
