import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { DigestFunction } from '../../asset/digest.ts'
import { AssetError } from '../../asset/errors.ts'
import { storageError } from '../../util/writer-messages.ts'
import type { BlobUpload, UploadOptions } from '../blob-store.ts'
import { ContentHashers } from '../content-hashers.ts'
import { tempPath } from './blob-files.ts'

// Content up to one block stays in memory. Beyond it, one block is written while the next is
// filled: 1 MiB for each upload.
const blockBytes = 512 * 1024
const firstBufferBytes = 16 * 1024

/** Where finished content goes: bytes, or the name of a finished file in tmp/. */
export interface FinishedContent {
  readonly hashes: ReadonlyMap<DigestFunction, string>
  readonly sizeBytes: number
  readonly content: Uint8Array | string
}

export interface LocalUploadParts {
  readonly directory: string
  readonly isStrict: boolean
  readonly sizeBytesMax: number
  readonly store: (finished: FinishedContent) => Promise<void>
}

/** Hashes content while it comes in; keeps it in memory, or in a temporary file if it is large. */
export class LocalUpload implements BlobUpload {
  readonly #parts: LocalUploadParts
  readonly #hashers: ContentHashers
  #sizeBytes = 0
  #buffer: Buffer = Buffer.alloc(0)
  #filledBytes = 0
  #spareBuffer: Buffer | undefined
  #tempName: string | undefined
  #file: FileHandle | undefined
  #writing: Promise<void> | undefined
  #taking: Promise<void> | undefined
  #finished: Promise<ReadonlyMap<DigestFunction, string>> | undefined
  #committed: Promise<void> | undefined

  constructor(options: UploadOptions, parts: LocalUploadParts) {
    this.#parts = parts
    this.#hashers = new ContentHashers(options.functions)
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  write(chunk: Uint8Array): Promise<void> {
    this.#taking = this.#take(chunk)
    return this.#taking
  }

  finish(): Promise<ReadonlyMap<DigestFunction, string>> {
    this.#finished ??= this.#finish()
    return this.#finished
  }

  commit(): Promise<void> {
    this.#committed ??= this.#commit()
    return this.#committed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#finished ??= Promise.reject(new Error('the upload was abandoned'))
    await this.#finished.catch(() => undefined)
    // Who gives up an upload may do so in the middle of a `write`, which would open the file after it
    // was removed here; and Node ends the process if the garbage collector finds an open FileHandle.
    await this.#taking?.catch(() => undefined)
    await this.#committed?.catch(() => undefined)
    await this.#writing?.catch(() => undefined)
    await this.#file?.close().catch(() => undefined)
    this.#file = undefined
    this.#buffer = Buffer.alloc(0)
    this.#spareBuffer = undefined
    // Of a committed upload, the writer has taken the file.
    if (this.#tempName) await rm(tempPath(this.#parts.directory, this.#tempName), { force: true })
  }

  async #take(chunk: Uint8Array): Promise<void> {
    if (this.#finished) throw new Error('write after finish')
    if (this.#sizeBytes + chunk.byteLength > this.#parts.sizeBytesMax) {
      throw new AssetError(
        'RESOURCE_EXHAUSTED',
        `the content is larger than the limit of ${this.#parts.sizeBytesMax} bytes`,
      )
    }
    this.#sizeBytes += chunk.byteLength
    let at = 0
    while (at < chunk.byteLength) {
      if (this.#filledBytes === blockBytes) await this.#writeBlock()
      const end = Math.min(chunk.byteLength, at + blockBytes - this.#filledBytes)
      const part = at === 0 && end === chunk.byteLength ? chunk : chunk.subarray(at, end)
      this.#grow(this.#filledBytes + part.byteLength)
      this.#hashers.update(part)
      this.#buffer.set(part, this.#filledBytes)
      this.#filledBytes += part.byteLength
      at = end
    }
  }

  async #finish(): Promise<ReadonlyMap<DigestFunction, string>> {
    try {
      if (this.#file) {
        if (this.#filledBytes > 0) await this.#writeBlock()
        await this.#writing
        if (this.#parts.isStrict) await this.#file.datasync()
        await this.#file.close()
        this.#file = undefined
      }
    } catch (error) {
      throw storageError(error)
    }
    return this.#hashers.finish()
  }

  async #commit(): Promise<void> {
    if (!this.#finished) throw new Error('commit before finish')
    const hashes = await this.#finished
    const content = this.#tempName ?? new Uint8Array(this.#buffer.subarray(0, this.#filledBytes))
    await this.#parts.store({ hashes, sizeBytes: this.#sizeBytes, content })
  }

  /** Doubles the buffer up to a block, so that a small upload takes little memory. */
  #grow(neededBytes: number): void {
    if (neededBytes <= this.#buffer.byteLength) return
    let sizeBytes = Math.max(firstBufferBytes, this.#buffer.byteLength)
    while (sizeBytes < neededBytes) sizeBytes *= 2
    const grown = Buffer.allocUnsafeSlow(sizeBytes)
    grown.set(this.#buffer.subarray(0, this.#filledBytes))
    this.#buffer = grown
  }

  /** Starts to write the full buffer, as soon as the one before is written. */
  async #writeBlock(): Promise<void> {
    try {
      this.#file ??= await this.#openFile()
      await this.#writing
    } catch (error) {
      throw storageError(error)
    }
    const full = this.#buffer
    const writing = writeFully(this.#file, full.subarray(0, this.#filledBytes))
    // A failure is reported by whoever awaits `#writing` next.
    writing.catch(() => undefined)
    this.#writing = writing
    this.#buffer = this.#spareBuffer ?? Buffer.allocUnsafeSlow(blockBytes)
    this.#spareBuffer = full
    this.#filledBytes = 0
  }

  async #openFile(): Promise<FileHandle> {
    this.#tempName = randomUUID()
    return open(tempPath(this.#parts.directory, this.#tempName), 'wx', 0o644)
  }
}

async function writeFully(file: FileHandle, data: Uint8Array): Promise<void> {
  let written = 0
  while (written < data.byteLength) {
    written += (await file.write(data, written, data.byteLength - written)).bytesWritten
  }
}
