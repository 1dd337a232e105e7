import type { Digest, DigestFunction } from '../asset/digest.ts'
import type { VerifiedBlob } from './verified-blob.ts'

/**
 * Content by digest. Every store keeps these rules:
 * - The empty blob is always held, under every digest function.
 * - A right hash with a wrong size is not held.
 * - Nothing is visible before its digest is proven, and nothing partial is ever visible.
 * - What a call has acknowledged survives `kill -9`.
 * - Asking for content (any method that names it) extends its life.
 * - Failures of the store itself are AssetErrors: RESOURCE_EXHAUSTED if it is full, UNAVAILABLE if
 *   another try may succeed, DATA_LOSS if held bytes are damaged.
 */
export interface BlobStore extends AsyncDisposable {
  /** Largest blob that is accepted, in bytes. */
  readonly blobSizeBytesMax: number

  /**
   * Grows whenever content may have gone away. Who has seen a tree complete at one value need not
   * walk it again at the same value. Undefined if the store cannot tell.
   */
  evictionCounter(): number | undefined

  /** Those of the digests that are not held, each once, in the order asked. */
  findMissing(digests: readonly Digest[]): Promise<Digest[]>

  /**
   * The content of the digest that has this hash, under the same function; undefined if not held.
   * For checksums, which come without a size.
   */
  findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined>

  /**
   * The name that held content has under another digest function, computed and remembered if it is
   * not known yet. Undefined if the content is not held.
   */
  translate(digest: Digest, digestFunction: DigestFunction): Promise<Digest | undefined>

  /**
   * Streams a blob, or a part of it, in chunks of at most `chunkBytes`.
   * Rejects with NOT_FOUND before the first chunk if the blob is not held.
   * The range must lie in the blob: the caller has checked it against the digest's size.
   */
  read(digest: Digest, range?: ReadRange): AsyncIterable<Uint8Array>

  /** Whole blobs, in the order asked, undefined where one is not held. For small blobs. */
  readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]>

  /**
   * Stores blobs whose digests are proven, all visible when the promise resolves. Blobs that are
   * held already cost nothing. The store may keep or transfer the bytes: do not touch them after.
   */
  putBatch(blobs: readonly VerifiedBlob[]): Promise<void>

  /**
   * Begins to take in content whose digest is not known or not proven yet.
   * `functions` are those to name the content by, beside the ones that the store needs for itself.
   */
  upload(options: UploadOptions): BlobUpload

  stats(): BlobStoreStats
}

export interface ReadRange {
  readonly offsetBytes?: number
  /** Bytes to read; up to the end if left out. */
  readonly lengthBytes?: number
  /** Default 64 KiB. */
  readonly chunkBytes?: number
  /** The caller is done with a chunk when it asks for the next, so its memory may be used again. */
  readonly reusesMemory?: boolean
}

export interface UploadOptions {
  readonly functions: readonly Exclude<DigestFunction, 'GITSHA1'>[]
  /** `write` rejects with RESOURCE_EXHAUSTED beyond it. */
  readonly sizeBytesMax: number
}

/**
 * Content on its way in. Disposing of an upload that was not committed leaves nothing behind.
 */
export interface BlobUpload extends AsyncDisposable {
  /** Bytes written so far. */
  readonly sizeBytes: number
  /** Resolves when the next chunk may come; the chunk's memory may be kept until then, not after. */
  write(chunk: Uint8Array): Promise<void>
  /** Ends the bytes. Returns the hash of all of them under each function asked for, and SHA256. */
  finish(): Promise<ReadonlyMap<DigestFunction, string>>
  /** Makes the content visible under all of these names; resolves when it is safe. After `finish`. */
  commit(): Promise<void>
}

export interface BlobStoreStats {
  readonly blobs: number
  readonly sizeBytes: number
  readonly sizeBytesMax: number
  readonly evictedBlobs: number
  readonly evictedBytes: number
}
