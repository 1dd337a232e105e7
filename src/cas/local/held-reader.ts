import { AssetError } from '../../asset/errors.ts'
import { codeOf, storageError } from '../../util/writer-messages.ts'
import type { ReadRange } from '../blob-store.ts'
import {
  DamagedFileError,
  readFileChunks,
  readFileNow,
  syncReadBytesMax,
} from './blob-file-reader.ts'
import { blobPath } from './blob-files.ts'
import type { HeldBlob } from './blob-lookup.ts'
import type { LocalStoreParts } from './local-store-parts.ts'

// Chunks that are joined at once are better large.
const wholeChunkBytes = 1024 * 1024

/** Reads blobs that a look-up has found, from the database or from their files. */
export class HeldReader {
  readonly #parts: LocalStoreParts

  constructor(parts: LocalStoreParts) {
    this.#parts = parts
  }

  /** Rejects with NOT_FOUND before the first chunk if the blob has gone or is damaged. */
  async *stream(held: HeldBlob, range: ReadRange): AsyncGenerator<Uint8Array> {
    const chunkBytes = range.chunkBytes ?? 64 * 1024
    try {
      const data = this.#parts.lookup.data(held.id)
      if (data === undefined) throw notHeldError(held.sha256)
      if (data === null && held.sizeBytes > syncReadBytesMax) {
        yield* readFileChunks(this.#path(held), held.sizeBytes, range)
        return
      }
      const whole = data ?? readFileNow(this.#path(held), held.sizeBytes)
      const start = range.offsetBytes ?? 0
      const end = Math.min(whole.byteLength, start + (range.lengthBytes ?? whole.byteLength))
      for (let at = start; at < end; at += chunkBytes) {
        yield whole.subarray(at, Math.min(end, at + chunkBytes))
      }
    } catch (error) {
      throw await this.#readError(error, held)
    }
  }

  /** All bytes of a blob, undefined if it has gone or is damaged. */
  async whole(held: HeldBlob): Promise<Uint8Array | undefined> {
    try {
      const data = this.#parts.lookup.data(held.id)
      if (data) return data
      if (data === undefined) return undefined
      if (held.sizeBytes <= syncReadBytesMax) return readFileNow(this.#path(held), held.sizeBytes)
      const chunks: Uint8Array[] = []
      const range = { chunkBytes: wholeChunkBytes }
      for await (const chunk of readFileChunks(this.#path(held), held.sizeBytes, range)) {
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    } catch (error) {
      const found = await this.#readError(error, held)
      if (found.code === 'NOT_FOUND') return undefined
      throw found
    }
  }

  #path(held: HeldBlob): string {
    return blobPath(this.#parts.options.directory, held.sha256)
  }

  /** Forgets a blob whose file has vanished or been cut, so that clients bring it again. */
  async #readError(error: unknown, held: HeldBlob): Promise<AssetError> {
    const isDamaged = error instanceof DamagedFileError || codeOf(error) === 'ENOENT'
    if (!isDamaged) return storageError(error)
    this.#parts.evictor.raiseCounter()
    await this.#parts.writer.call('dropDamaged', { blobId: held.id })
    return notHeldError(held.sha256)
  }
}

export function notHeldError(name: string): AssetError {
  return new AssetError('NOT_FOUND', `blob ${name} is not held`)
}
