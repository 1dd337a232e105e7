import type { DigestFunction } from '../asset/digest.ts'
import { hashBytes } from '../util/hasher.ts'
import type { BlobHashes, FoundBlob, PackedBlob } from './job-messages.ts'
import type { JobPort } from './job-port.ts'

/** Content up to this size is hashed in memory and sent in batches; larger content is streamed. */
export const batchBytes = 4 * 1024 * 1024
const uploadChunkBytes = 1024 * 1024
/** So that a store's transaction stays short however small the blobs are. */
const batchBlobsMax = 2048

/** What is computed over content beside the hashes that name it. */
export interface BlobCheck {
  /** The id that git gives it; content that does not have it is damaged. */
  readonly gitSha1: string | undefined
}

/**
 * Content on its way from the worker to the store: `begin`, `append` until all bytes are there,
 * `end`. Bytes are copied once, into the memory that is handed over.
 */
export class OutgoingBlobs {
  readonly #port: JobPort
  readonly #digestFunction: DigestFunction
  #memory = batchMemory()
  #used = 0
  #blobs: PackedBlob[] = []
  #sizeBytes = 0
  #filled = 0
  #chunk: Uint8Array<ArrayBuffer> | undefined

  constructor(port: JobPort, digestFunction: DigestFunction) {
    this.#port = port
    this.#digestFunction = digestFunction
  }

  begin(sizeBytes: number): void | Promise<void> {
    this.#sizeBytes = sizeBytes
    this.#filled = 0
    if (sizeBytes > batchBytes) {
      this.#port.beginUpload(sizeBytes)
      this.#chunk = new Uint8Array(uploadChunkBytes)
      return
    }
    const isFull = this.#used + sizeBytes > batchBytes || this.#blobs.length >= batchBlobsMax
    if (isFull) return this.flush()
  }

  append(bytes: Uint8Array): void | Promise<void> {
    if (this.#sizeBytes > batchBytes) return this.#appendToUpload(bytes)
    this.#memory.set(bytes, this.#used + this.#filled)
    this.#filled += bytes.byteLength
  }

  /** The content's digest under the function of the tree. */
  end(check?: BlobCheck): FoundBlob | Promise<FoundBlob> {
    if (this.#sizeBytes > batchBytes) return this.#endUpload(check)
    const content = this.#memory.subarray(this.#used, this.#used + this.#sizeBytes)
    const hashes = this.#hash(content, check)
    // The empty blob is always held.
    if (this.#sizeBytes > 0) {
      this.#blobs.push({ offset: this.#used, sizeBytes: this.#sizeBytes, hashes })
      this.#used += this.#sizeBytes
    }
    return { hash: hashes.named ?? hashes.sha256, sizeBytes: this.#sizeBytes }
  }

  /** Sends what has been collected. */
  async flush(): Promise<void> {
    if (this.#blobs.length === 0) return
    const blobs = this.#blobs
    // A store in memory keeps what it is given, so that a small batch must not drag 4 MiB along.
    const isSmall = this.#used < batchBytes / 2
    const memory = isSmall ? this.#memory.slice(0, this.#used).buffer : this.#memory.buffer
    if (!isSmall) this.#memory = batchMemory()
    this.#blobs = []
    this.#used = 0
    await this.#port.sendBatch(memory, blobs)
  }

  /** Sends the rest and waits until the store has it all. */
  async settle(): Promise<void> {
    await this.flush()
    await this.#port.drained()
  }

  #hash(content: Uint8Array, check: BlobCheck | undefined): BlobHashes {
    const isSha256 = this.#digestFunction === 'SHA256'
    return {
      sha256: hashBytes('SHA256', content),
      named: isSha256 ? undefined : hashBytes(this.#digestFunction, content),
      gitSha1: check?.gitSha1,
    }
  }

  async #appendToUpload(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      const chunk = this.#chunk ?? new Uint8Array(uploadChunkBytes)
      this.#chunk = chunk
      const part = bytes.subarray(at, at + chunk.byteLength - this.#filled)
      chunk.set(part, this.#filled)
      at += part.byteLength
      this.#filled += part.byteLength
      if (this.#filled === chunk.byteLength) await this.#sendChunk(chunk)
    }
  }

  async #sendChunk(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    const memory =
      this.#filled === chunk.byteLength ? chunk.buffer : chunk.slice(0, this.#filled).buffer
    this.#chunk = undefined
    this.#filled = 0
    await this.#port.sendUploadChunk(memory)
  }

  async #endUpload(check: BlobCheck | undefined): Promise<FoundBlob> {
    if (this.#chunk && this.#filled > 0) await this.#sendChunk(this.#chunk)
    const hash = await this.#port.endUpload(check?.gitSha1)
    return { hash, sizeBytes: this.#sizeBytes }
  }
}

/** Memory of its own, not of a pool, so that it can be transferred. */
function batchMemory(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(batchBytes).buffer)
}
