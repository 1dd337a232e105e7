import { resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  type Digest,
  type DigestFunction,
  digestText,
  emptyDigest,
  isEmptyDigest,
} from '../../asset/digest.ts'
import { AssetError } from '../../asset/errors.ts'
import type {
  BlobStore,
  BlobStoreStats,
  BlobUpload,
  ReadRange,
  UploadOptions,
} from '../blob-store.ts'
import { digestOf, type VerifiedBlob } from '../verified-blob.ts'
import type { BlobLookup, HeldBlob } from './blob-lookup.ts'
import type { NewBlob } from './cas-writes.ts'
import { hashContent } from './content-hash.ts'
import { HeldReader, notHeldError } from './held-reader.ts'
import { LocalActionResults } from './local-action-results.ts'
import {
  type LocalStoreOptions,
  type ResolvedStoreOptions,
  resolveStoreOptions,
} from './local-store-options.ts'
import { type LocalStoreParts, openStoreParts } from './local-store-parts.ts'
import { type FinishedContent, LocalUpload } from './local-upload.ts'
import { extraNames, packBlobs } from './packed-blobs.ts'

// A turn of the event loop looks up so many digests (3 ms), or reads so many bytes.
const lookupsPerTurn = 1000
const bytesPerTurn = 1024 * 1024

// What goes to the writer in one message.
const sliceBytes = 4 * 1024 * 1024
const sliceBlobs = 500

/**
 * Content in a directory: small blobs in SQLite, larger ones as files. One copy is known by its
 * SHA256 and by any number of other names. The event loop only reads; a thread of its own writes.
 */
export class LocalBlobStore implements BlobStore {
  readonly blobSizeBytesMax: number
  /** Action results are kept in the same database. */
  readonly actionResults: LocalActionResults
  readonly #parts: LocalStoreParts
  readonly #options: ResolvedStoreOptions
  readonly #lookup: BlobLookup
  readonly #reader: HeldReader
  readonly #hashing = new Map<string, Promise<string>>()

  /**
   * Opens the store in a directory, which is made if it is not there.
   * @throws AssetError FAILED_PRECONDITION if another process uses it or a newer version made it.
   */
  static async open(directory: string, options: LocalStoreOptions = {}): Promise<LocalBlobStore> {
    return new LocalBlobStore(
      await openStoreParts(resolveStoreOptions(resolve(directory), options)),
    )
  }

  private constructor(parts: LocalStoreParts) {
    this.#parts = parts
    this.#options = parts.options
    this.#lookup = parts.lookup
    this.#reader = new HeldReader(parts)
    this.blobSizeBytesMax = parts.options.blobSizeBytesMax
    this.actionResults = new LocalActionResults({
      database: parts.lookup.database,
      writer: parts.writer,
      uses: parts.uses,
      clock: parts.options.clock,
    })
  }

  evictionCounter(): number {
    return this.#parts.evictor.counter
  }

  async findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    const missing = new Map<string, Digest>()
    for (let start = 0; start < digests.length; start += lookupsPerTurn) {
      if (start > 0) await nextTurn()
      const end = Math.min(digests.length, start + lookupsPerTurn)
      for (let index = start; index < end; index++) {
        const digest = digests[index]
        if (digest && !this.#isHeld(digest)) missing.set(digestText(digest), digest)
      }
    }
    return [...missing.values()]
  }

  async findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined> {
    const empty = emptyDigest(digestFunction)
    if (hash === empty.hash) return empty
    const held = this.#lookup.findByHash(digestFunction, hash)
    if (!held) return undefined
    this.#parts.uses.touchBlob(held.id)
    return { function: digestFunction, hash, sizeBytes: held.sizeBytes }
  }

  async translate(digest: Digest, digestFunction: DigestFunction): Promise<Digest | undefined> {
    if (isEmptyDigest(digest)) return emptyDigest(digestFunction)
    const held = this.#find(digest)
    if (!held) return undefined
    const named = (hash: string) => ({ function: digestFunction, hash, sizeBytes: held.sizeBytes })
    if (digestFunction === 'SHA256') return named(held.sha256)
    const known = this.#lookup.nameOf(held.id, digestFunction)
    if (known !== undefined) return named(known)
    try {
      return named(await this.#hashOnce(held, digestFunction))
    } catch (error) {
      if (error instanceof AssetError && error.code === 'NOT_FOUND') return undefined
      throw error
    }
  }

  async *read(digest: Digest, range: ReadRange = {}): AsyncIterable<Uint8Array> {
    if (isEmptyDigest(digest)) return
    const held = this.#find(digest)
    if (!held) throw notHeldError(digestText(digest))
    yield* this.#reader.stream(held, range)
  }

  async readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    const blobs: (Uint8Array | undefined)[] = []
    let turnBytes = 0
    for (const digest of digests) {
      if (turnBytes > bytesPerTurn) {
        await nextTurn()
        turnBytes = 0
      }
      // The look-up counts as well.
      turnBytes += 4096 + digest.sizeBytes
      const held = this.#find(digest)
      if (held) blobs.push(await this.#reader.whole(held))
      else blobs.push(isEmptyDigest(digest) ? new Uint8Array(0) : undefined)
    }
    return blobs
  }

  async putBatch(blobs: readonly VerifiedBlob[]): Promise<void> {
    for (const blob of blobs) {
      if (blob.data.byteLength > this.blobSizeBytesMax) throw this.#tooLarge(blob.data.byteLength)
    }
    const writes: Promise<void>[] = []
    let slice = new Map<string, NewBlob>()
    let bytes = 0
    const send = () => {
      const write = this.#putNew([...slice.values()])
      // Reported below, when all slices have ended.
      write.catch(() => undefined)
      writes.push(write)
      slice = new Map()
      bytes = 0
    }
    for (const blob of blobs) {
      const fresh = this.#blobToStore(blob)
      if (!fresh) continue
      const twin = slice.get(fresh.sha256)
      slice.set(fresh.sha256, twin ? { ...twin, names: [...twin.names, ...fresh.names] } : fresh)
      bytes += twin ? 0 : fresh.data.byteLength
      if (bytes < sliceBytes && slice.size < sliceBlobs) continue
      send()
      await nextTurn()
    }
    if (slice.size > 0) send()
    const results = await Promise.allSettled(writes)
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  upload(options: UploadOptions): BlobUpload {
    return new LocalUpload(options, {
      directory: this.#options.directory,
      isStrict: this.#options.durability === 'strict',
      sizeBytesMax: Math.min(options.sizeBytesMax, this.blobSizeBytesMax),
      store: (finished) => this.#putFinished(finished),
    })
  }

  stats(): BlobStoreStats {
    const { blobs, sizeBytes, evictedBlobs, evictedBytes } = this.#parts.totals()
    const sizeBytesMax = this.#options.sizeBytesMax
    return { blobs, sizeBytes, sizeBytesMax, evictedBlobs, evictedBytes }
  }

  /**
   * Resolves if content can be read and written now.
   * @throws AssetError UNAVAILABLE if the writer has died or the store is closed
   */
  async check(): Promise<void> {
    this.#lookup.findId(emptyDigest('SHA256'))
    await this.#parts.writer.call('touch', { blobs: new Map(), actionResults: new Map() })
  }

  /** Writes what is collected, ends the writer and frees the directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.stack.disposeAsync()
  }

  /** Large content takes seconds, so that all who ask meanwhile wait for the one pass. */
  #hashOnce(held: HeldBlob, digestFunction: DigestFunction): Promise<string> {
    const key = `${held.id} ${digestFunction}`
    const running = this.#hashing.get(key)
    if (running) return running
    const hashing = this.#hash(held, digestFunction).finally(() => this.#hashing.delete(key))
    this.#hashing.set(key, hashing)
    return hashing
  }

  async #hash(held: HeldBlob, digestFunction: DigestFunction): Promise<string> {
    const hash = await hashContent(digestFunction, held.sizeBytes, this.#reader.stream(held, {}))
    const names = [{ function: digestFunction, hash }]
    await this.#parts.writer.call('addNames', { blobId: held.id, names })
    return hash
  }

  #isHeld(digest: Digest): boolean {
    const id = this.#lookup.findId(digest)
    if (id !== undefined) this.#parts.uses.touchBlob(id)
    return id !== undefined || isEmptyDigest(digest)
  }

  #find(digest: Digest): HeldBlob | undefined {
    const held = this.#lookup.find(digest)
    if (held) this.#parts.uses.touchBlob(held.id)
    return held
  }

  /** Undefined if the blob is held under all its names, or is empty. */
  #blobToStore(blob: VerifiedBlob): NewBlob | undefined {
    if (blob.data.byteLength === 0) return undefined
    const { lookup } = this.#parts
    const digest = digestOf(blob, 'SHA256')
    const id = lookup.findId(digest)
    if (id !== undefined && blob.digests.every((name) => lookup.findId(name) === id)) {
      this.#parts.uses.touchBlob(id)
      return undefined
    }
    return { sha256: digest.hash, data: blob.data, names: extraNames(blob.digests) }
  }

  async #putNew(blobs: readonly NewBlob[]): Promise<void> {
    const { writer, evictor } = this.#parts
    let newBytes = 0
    for (const { sha256, data } of blobs) {
      const digest: Digest = { function: 'SHA256', hash: sha256, sizeBytes: data.byteLength }
      if (!this.#isHeld(digest)) newBytes += data.byteLength
    }
    using _reservation = await evictor.makeRoom(newBytes)
    const packed = packBlobs(blobs)
    const nowMs = this.#options.clock()
    const held = await writer.call('putBlobs', { blobs: packed.blobs, nowMs }, packed.transfer)
    for (const id of held) this.#lookup.dying.delete(id)
  }

  async #putFinished({ hashes, sizeBytes, content }: FinishedContent): Promise<void> {
    if (sizeBytes === 0) return
    const digests: Digest[] = []
    for (const [name, hash] of hashes) digests.push({ function: name, hash, sizeBytes })
    const names = extraNames(digests)
    const sha256 = hashes.get('SHA256') ?? ''
    if (typeof content !== 'string') return this.#putNew([{ sha256, data: content, names }])
    const isHeld = this.#isHeld({ function: 'SHA256', hash: sha256, sizeBytes })
    using _reservation = await this.#parts.evictor.makeRoom(isHeld ? 0 : sizeBytes)
    const file = { tempName: content, sha256, sizeBytes, names }
    const nowMs = this.#options.clock()
    const held = await this.#parts.writer.call('putFile', { file, nowMs })
    for (const id of held) this.#lookup.dying.delete(id)
  }

  #tooLarge(sizeBytes: number): AssetError {
    return new AssetError(
      'RESOURCE_EXHAUSTED',
      `a blob of ${sizeBytes} bytes is larger than the limit of ${this.blobSizeBytesMax} bytes`,
    )
  }
}
