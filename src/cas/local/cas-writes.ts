import type { DigestFunction } from '../../asset/digest.ts'
import type { WriterThread } from '../../util/writer-thread.ts'

/** A name of content beside its SHA256. */
export interface ExtraName {
  readonly function: DigestFunction
  readonly hash: string
}

export interface NewBlob {
  readonly sha256: string
  readonly data: Uint8Array
  readonly names: readonly ExtraName[]
}

/** A finished temporary file that becomes a blob. */
export interface NewFile {
  readonly tempName: string
  readonly sha256: string
  readonly sizeBytes: number
  readonly names: readonly ExtraName[]
}

/** Ids, and when each was last used in milliseconds since 1970. */
export interface LastUseTimes {
  readonly blobs: ReadonlyMap<number, number>
  readonly actionResults: ReadonlyMap<number, number>
}

/** The calls of the CAS writer thread. */
export interface CasWrites {
  /** Returns the ids of blobs that were held already. */
  putBlobs(input: { blobs: readonly NewBlob[]; nowMs: number }): readonly number[]
  putFile(input: { file: NewFile; nowMs: number }): readonly number[]
  addNames(input: { blobId: number; names: readonly ExtraName[] }): void
  touch(input: LastUseTimes): void
  /** Deletes those that were not used since. */
  evict(input: { blobIds: readonly number[]; usedBeforeMs: number }): void
  /** Forgets a blob whose file has vanished or has the wrong size. */
  dropDamaged(input: { blobId: number }): void
  putActionResult(input: {
    instance: string
    function: DigestFunction
    hash: string
    sizeBytes: number
    result: Uint8Array
    nowMs: number
  }): void
}

/** Totals after each group of writes. */
export interface CasTotals {
  readonly blobs: number
  readonly sizeBytes: number
  readonly evictedBlobs: number
  readonly evictedBytes: number
  /** How often the store has been opened. */
  readonly openings: number
}

export type CasWriterThread = WriterThread<CasWrites, CasTotals>
