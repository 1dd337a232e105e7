import {
  type Digest,
  type DigestFunction,
  digestText,
  emptyDigest,
  isEmptyDigest,
} from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { hashBytes } from '../util/hasher.ts'
import type {
  BlobStore,
  BlobStoreStats,
  BlobUpload,
  ReadRange,
  UploadOptions,
} from './blob-store.ts'
import { ContentHashers } from './content-hashers.ts'
import { trustedBlob, type VerifiedBlob } from './verified-blob.ts'

export interface MemoryBlobStoreOptions {
  /** Bytes of all content together; nothing is evicted to make room. Default 1 GiB. */
  readonly sizeBytesMax?: number
  /** Default 256 MiB. */
  readonly blobSizeBytesMax?: number
}

interface HeldBlob {
  readonly data: Uint8Array
  readonly names: Set<string>
}

/** A whole store in memory, gone when the process ends. For tests and for small tools. */
export class MemoryBlobStore implements BlobStore {
  readonly blobSizeBytesMax: number
  readonly #sizeBytesMax: number
  readonly #byName = new Map<string, HeldBlob>()
  #blobs = 0
  #sizeBytes = 0
  #evictedBlobs = 0
  #evictedBytes = 0

  constructor(options: MemoryBlobStoreOptions = {}) {
    this.#sizeBytesMax = options.sizeBytesMax ?? 1024 ** 3
    this.blobSizeBytesMax = options.blobSizeBytesMax ?? 256 * 1024 ** 2
  }

  evictionCounter(): number {
    return this.#evictedBlobs
  }

  async findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    const missing = new Map<string, Digest>()
    for (const digest of digests) {
      if (!this.#find(digest)) missing.set(digestText(digest), digest)
    }
    return [...missing.values()]
  }

  async findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined> {
    if (hash === emptyDigest(digestFunction).hash) return emptyDigest(digestFunction)
    const held = this.#byName.get(nameOf(digestFunction, hash))
    return held && { function: digestFunction, hash, sizeBytes: held.data.byteLength }
  }

  async translate(digest: Digest, digestFunction: DigestFunction): Promise<Digest | undefined> {
    const data = this.#find(digest)
    if (!data) return undefined
    const hash = hashBytes(digestFunction, data)
    const translated = { function: digestFunction, hash, sizeBytes: data.byteLength }
    if (data.byteLength > 0) this.#put(data, [digest, translated])
    return translated
  }

  async *read(digest: Digest, range: ReadRange = {}): AsyncIterable<Uint8Array> {
    const data = this.#find(digest)
    if (!data) throw new AssetError('NOT_FOUND', `blob ${digestText(digest)} is not held`)
    const chunkBytes = range.chunkBytes ?? 64 * 1024
    const offset = range.offsetBytes ?? 0
    const end = Math.min(data.byteLength, offset + (range.lengthBytes ?? Infinity))
    for (let at = offset; at < end; at += chunkBytes) {
      yield new Uint8Array(data.subarray(at, Math.min(end, at + chunkBytes)))
    }
  }

  async readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    return digests.map((digest) => this.#copy(digest))
  }

  async putBatch(blobs: readonly VerifiedBlob[]): Promise<void> {
    for (const blob of blobs) this.#put(blob.data, blob.digests)
  }

  upload(options: UploadOptions): BlobUpload {
    const sizeBytesMax = Math.min(options.sizeBytesMax, this.blobSizeBytesMax)
    return new MemoryUpload(options, sizeBytesMax, (blob) => this.#put(blob.data, blob.digests))
  }

  stats(): BlobStoreStats {
    return {
      blobs: this.#blobs,
      sizeBytes: this.#sizeBytes,
      sizeBytesMax: this.#sizeBytesMax,
      evictedBlobs: this.#evictedBlobs,
      evictedBytes: this.#evictedBytes,
    }
  }

  /** Forgets content under all its names, as eviction would. False if it was not held. */
  evict(digest: Digest): boolean {
    const held = this.#byName.get(nameOf(digest.function, digest.hash))
    if (held?.data.byteLength !== digest.sizeBytes) return false
    for (const name of held.names) this.#byName.delete(name)
    this.#blobs -= 1
    this.#sizeBytes -= held.data.byteLength
    this.#evictedBlobs += 1
    this.#evictedBytes += held.data.byteLength
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#byName.clear()
  }

  #find(digest: Digest): Uint8Array | undefined {
    if (isEmptyDigest(digest)) return new Uint8Array(0)
    const held = this.#byName.get(nameOf(digest.function, digest.hash))
    return held?.data.byteLength === digest.sizeBytes ? held.data : undefined
  }

  // Not `slice`, which gives a view if the bytes are a Buffer.
  #copy(digest: Digest): Uint8Array | undefined {
    const data = this.#find(digest)
    return data && new Uint8Array(data)
  }

  #put(data: Uint8Array, digests: readonly Digest[]): void {
    if (data.byteLength === 0) return
    const names = digests.map((digest) => nameOf(digest.function, digest.hash))
    let held = names.map((name) => this.#byName.get(name)).find((found) => found !== undefined)
    if (!held) {
      this.#assertRoom(data.byteLength)
      held = { data: new Uint8Array(data), names: new Set() }
      this.#blobs += 1
      this.#sizeBytes += data.byteLength
    }
    for (const name of names) {
      held.names.add(name)
      this.#byName.set(name, held)
    }
  }

  #assertRoom(sizeBytes: number): void {
    if (sizeBytes > this.blobSizeBytesMax) {
      const limit = this.blobSizeBytesMax
      throw new AssetError(
        'RESOURCE_EXHAUSTED',
        `a blob of ${sizeBytes} bytes is larger than the limit of ${limit} bytes`,
      )
    }
    if (this.#sizeBytes + sizeBytes > this.#sizeBytesMax) {
      throw new AssetError(
        'RESOURCE_EXHAUSTED',
        `the store is full: its limit is ${this.#sizeBytesMax} bytes`,
      )
    }
  }
}

class MemoryUpload implements BlobUpload {
  readonly #sizeBytesMax: number
  readonly #store: (blob: VerifiedBlob) => void
  readonly #hashers: ContentHashers
  #chunks: Uint8Array[] = []
  #sizeBytes = 0
  #hashes: ReadonlyMap<DigestFunction, string> | undefined

  constructor(options: UploadOptions, sizeBytesMax: number, store: (blob: VerifiedBlob) => void) {
    this.#sizeBytesMax = sizeBytesMax
    this.#store = store
    this.#hashers = new ContentHashers(options.functions)
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#hashes) throw new Error('write after finish')
    if (this.#sizeBytes + chunk.byteLength > this.#sizeBytesMax) {
      throw new AssetError(
        'RESOURCE_EXHAUSTED',
        `the content is larger than the limit of ${this.#sizeBytesMax} bytes`,
      )
    }
    this.#hashers.update(chunk)
    this.#chunks.push(new Uint8Array(chunk))
    this.#sizeBytes += chunk.byteLength
  }

  async finish(): Promise<ReadonlyMap<DigestFunction, string>> {
    this.#hashes ??= this.#hashers.finish()
    return this.#hashes
  }

  async commit(): Promise<void> {
    if (!this.#hashes) throw new Error('commit before finish')
    const digests: Digest[] = []
    for (const [name, hash] of this.#hashes) {
      digests.push({ function: name, hash, sizeBytes: this.#sizeBytes })
    }
    this.#store(trustedBlob(Buffer.concat(this.#chunks), digests))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#chunks = []
  }
}

function nameOf(digestFunction: DigestFunction, hash: string): string {
  return `${digestFunction}:${hash}`
}
