import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { Instances } from './instances.ts'
import { type BlobResource, parseReadName } from './resource-name.ts'
import { packZstd, packZstdStream } from './zstd.ts'

export interface ReadRequest {
  readonly resourceName: string
  readonly readOffset: number
  readonly readLimit: number
}

// One message for blobs up to 1 MiB, which moves twice the bytes a second that 64 KiB does; well
// below the 4 MiB that clients take.
const chunkBytesMin = 64 * 1024
const chunkBytesMax = 1024 * 1024

/**
 * The bytes of a blob from an offset on. Offset and limit count uncompressed bytes; a compressed
 * read is a fresh frame from there, as Bazel expects when it resumes.
 * @throws AssetError NOT_FOUND, OUT_OF_RANGE, INVALID_ARGUMENT
 */
export async function* readBlob(
  { store, instances }: { store: BlobStore; instances: Instances },
  request: ReadRequest,
): AsyncGenerator<{ data: Uint8Array }> {
  const resource = parseReadName(request.resourceName)
  instances.accept(resource.instance)
  const range = readRange(request, resource)
  const chunkBytes = Math.min(Math.max(range.lengthBytes, chunkBytesMin), chunkBytesMax)
  if (range.lengthBytes === 0) {
    await assertHeld(store, resource.digest)
    if (resource.compressor === 'ZSTD') yield { data: await packZstd(new Uint8Array(0)) }
    return
  }
  // Both the transport and the encoder have copied a chunk before they ask for the next.
  const content = store.read(resource.digest, { ...range, chunkBytes, reusesMemory: true })
  const chunks =
    resource.compressor === 'ZSTD'
      ? packZstdStream(content, { chunkBytes, sizeBytes: range.lengthBytes })
      : content
  for await (const data of chunks) yield { data }
}

function readRange(
  request: ReadRequest,
  { digest, compressor }: BlobResource,
): { offsetBytes: number; lengthBytes: number } {
  const { readOffset: offsetBytes, readLimit } = request
  if (offsetBytes < 0 || offsetBytes > digest.sizeBytes) {
    throw new AssetError(
      'OUT_OF_RANGE',
      `read_offset ${offsetBytes} is outside blob ${digestText(digest)}`,
    )
  }
  if (readLimit < 0) throw invalidField('read_limit', `must not be negative, got ${readLimit}`)
  if (readLimit > 0 && compressor !== 'IDENTITY') {
    throw invalidField('read_limit', 'must be 0 for compressed blobs')
  }
  const restBytes = digest.sizeBytes - offsetBytes
  const lengthBytes = readLimit === 0 ? restBytes : Math.min(readLimit, restBytes)
  return { offsetBytes, lengthBytes }
}

async function assertHeld(store: BlobStore, digest: Digest): Promise<void> {
  const [missing] = await store.findMissing([digest])
  if (missing) throw new AssetError('NOT_FOUND', `blob ${digestText(digest)} is not held`)
}
