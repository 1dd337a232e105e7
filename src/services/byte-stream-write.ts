import { type Digest, type DigestFunction, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { BlobStore, BlobUpload } from '../cas/blob-store.ts'
import { verifyBlob } from '../cas/verified-blob.ts'
import { assertBlobSize } from './blob-size.ts'
import type { Instances } from './instances.ts'
import { parseWriteName } from './resource-name.ts'
import { WriteMessages, type WriteRequest } from './write-messages.ts'
import { unpackZstd, ZstdUnpacker } from './zstd.ts'

/** `committed_size` counts bytes as they were sent; -1 where a compressed blob was there already. */
export interface WriteResponse {
  readonly committedSize: number
}

// Blobs that come whole in the first message, as most of Bazel's do, need no upload of their own.
const oneMessageBytesMax = 1024 * 1024

// While a blob comes in, another writer may bring it; to know it saves the client the rest.
const presenceCheckBytes = 16 * 1024 ** 2

/**
 * Takes in one blob; it is visible when this resolves, and nothing of it is kept if it rejects or
 * the client stops before `finish_write` (then `committed_size` is 0). Answers early, and well, if
 * the blob is held.
 * @throws AssetError INVALID_ARGUMENT if name, offsets, size, hash or compression are wrong
 */
export async function writeBlob(
  { store, instances }: { store: BlobStore; instances: Instances },
  requests: AsyncIterable<WriteRequest>,
): Promise<WriteResponse> {
  const messages = await WriteMessages.open(requests)
  const { instance, digest, compressor } = parseWriteName(messages.resourceName)
  instances.accept(instance)
  assertBlobSize(store, digest, 'resource_name')
  const isCompressed = compressor === 'ZSTD'
  const held = { committedSize: isCompressed ? -1 : digest.sizeBytes }
  if (await isHeld(store, digest)) return held

  let data = await messages.next()
  if (data && messages.isFinished && isSmall(data, digest)) {
    const bytes = isCompressed ? await unpackZstd(data, digest.sizeBytes) : data
    const blob = verifyBlob(digest, bytes)
    await messages.assertNothingFollows()
    await store.putBatch([blob])
    return { committedSize: messages.receivedBytes }
  }

  await using upload = store.upload({
    functions: [uploadFunction(digest)],
    sizeBytesMax: digest.sizeBytes,
  })
  await using sink = isCompressed
    ? new CompressedSink(upload, digest)
    : new PlainSink(upload, digest)
  let checkedBytes = 0
  for (; data !== undefined; data = await messages.next()) {
    await sink.write(data)
    if (messages.receivedBytes - checkedBytes >= presenceCheckBytes) {
      checkedBytes = messages.receivedBytes
      if (await isHeld(store, digest)) return held
    }
  }
  if (!messages.isFinished) return (await isHeld(store, digest)) ? held : { committedSize: 0 }
  await sink.end()
  await assertContent(upload, digest)
  await messages.assertNothingFollows()
  await upload.commit()
  return { committedSize: messages.receivedBytes }
}

/** Where the data of the messages goes. */
interface Sink extends AsyncDisposable {
  write(data: Uint8Array): Promise<void>
  end(): Promise<void>
}

class PlainSink implements Sink {
  readonly #upload: BlobUpload
  readonly #digest: Digest

  constructor(upload: BlobUpload, digest: Digest) {
    this.#upload = upload
    this.#digest = digest
  }

  async write(data: Uint8Array): Promise<void> {
    const sizeBytes = this.#upload.sizeBytes + data.byteLength
    if (sizeBytes > this.#digest.sizeBytes) throw tooLong(this.#digest)
    if (data.byteLength > 0) await this.#upload.write(data)
  }

  async end(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

class CompressedSink implements Sink {
  readonly #unpacker: ZstdUnpacker
  readonly #digest: Digest
  readonly #packedBytesMax: number
  #packedBytes = 0

  constructor(upload: BlobUpload, digest: Digest) {
    const plain = new PlainSink(upload, digest)
    this.#unpacker = new ZstdUnpacker(digest.sizeBytes, (chunk) => plain.write(chunk))
    this.#digest = digest
    // Frames that hold nothing would let an upload go on for ever. No packer comes near to this.
    this.#packedBytesMax = 2 * digest.sizeBytes + 1024 * 1024
  }

  async write(data: Uint8Array): Promise<void> {
    this.#packedBytes += data.byteLength
    if (this.#packedBytes > this.#packedBytesMax) throw tooLong(this.#digest)
    await this.#unpacker.write(data)
  }

  end(): Promise<void> {
    return this.#unpacker.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unpacker[Symbol.asyncDispose]()
  }
}

function isSmall(data: Uint8Array, digest: Digest): boolean {
  return data.byteLength <= oneMessageBytesMax && digest.sizeBytes <= oneMessageBytesMax
}

async function isHeld(store: BlobStore, digest: Digest): Promise<boolean> {
  const missing = await store.findMissing([digest])
  return missing.length === 0
}

async function assertContent(upload: BlobUpload, digest: Digest): Promise<void> {
  if (upload.sizeBytes !== digest.sizeBytes) {
    throw new AssetError(
      'INVALID_ARGUMENT',
      `blob ${digestText(digest)} has ${upload.sizeBytes} bytes, expected ${digest.sizeBytes}`,
    )
  }
  const hashes = await upload.finish()
  const found = hashes.get(digest.function)
  if (found !== digest.hash) {
    throw new AssetError(
      'INVALID_ARGUMENT',
      `blob ${digestText(digest)} has the ${digest.function} hash ${found}`,
    )
  }
}

function tooLong(digest: Digest): AssetError {
  return new AssetError(
    'INVALID_ARGUMENT',
    `more data came than the ${digest.sizeBytes} bytes of blob ${digestText(digest)}`,
  )
}

function uploadFunction(digest: Digest): Exclude<DigestFunction, 'GITSHA1'> {
  if (digest.function === 'GITSHA1') throw new Error('resource names never speak of GITSHA1')
  return digest.function
}
