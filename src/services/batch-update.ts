import { setImmediate as nextTurn } from 'node:timers/promises'
import { type DigestFunction, digestText } from '../asset/digest.ts'
import { invalidField } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { digestOf, type VerifiedBlob, verifyBlob } from '../cas/verified-blob.ts'
import { build } from '../gen/reapi.js'
import { digestFromProto } from '../wire/digests.ts'
import { toInlineStatus } from '../wire/status.ts'
import { batchBytesMax } from './batch-limits.ts'
import { assertBlobSize } from './blob-size.ts'
import { functionOfRequest } from './request-digests.ts'
import { unpackZstd } from './zstd.ts'

type v2 = typeof build.bazel.remote.execution.v2
type BatchUpdateRequest = ReturnType<v2['BatchUpdateBlobsRequest']['decode']>
type BatchUpdateResponse = build.bazel.remote.execution.v2.BatchUpdateBlobsResponse.$Properties
type BlobMessage = build.bazel.remote.execution.v2.BatchUpdateBlobsRequest.Request.$Properties

const { Value: Compressor } = build.bazel.remote.execution.v2.Compressor

// SHA-256 does this much in half a millisecond; then the event loop gets its turn.
const hashedBytesPerTurn = 1024 * 1024

/**
 * Stores small blobs, each on its own: one that is wrong gets its status and the rest is stored.
 * @throws AssetError INVALID_ARGUMENT if the sizes together are beyond `batchBytesMax`
 */
export async function batchUpdateBlobs(
  store: BlobStore,
  request: BatchUpdateRequest,
): Promise<BatchUpdateResponse> {
  const digestFunction = functionOfRequest(request.digestFunction, request.requests[0]?.digest)
  assertBatchSize(request.requests.map((blob) => blob.digest))
  const verified: (VerifiedBlob | undefined)[] = []
  const errors: unknown[] = []
  let hashedBytes = 0
  for (const [index, message] of request.requests.entries()) {
    try {
      verified[index] = await verifyMessage(store, digestFunction, message)
    } catch (error) {
      errors[index] = error
    }
    hashedBytes += message.data?.byteLength ?? 0
    if (hashedBytes >= hashedBytesPerTurn) {
      hashedBytes = 0
      await nextTurn()
    }
  }
  const storeError = await putAll(store, digestFunction, verified)
  return {
    responses: request.requests.map(({ digest }, index) => {
      const error = errors[index] ?? storeError
      // Present also when it is OK: Pants reads an absent status as UNKNOWN.
      return { digest: digest ?? {}, status: error === undefined ? {} : toInlineStatus(error) }
    }),
  }
}

/** @throws AssetError INVALID_ARGUMENT */
export function assertBatchSize(
  digests: readonly ({ readonly sizeBytes?: number | null } | null | undefined)[],
): void {
  let sizeBytes = 0
  for (const digest of digests) sizeBytes += Math.max(0, digest?.sizeBytes ?? 0)
  if (sizeBytes <= batchBytesMax) return
  throw invalidField(
    'digests',
    `the blobs have ${sizeBytes} bytes together, more than max_batch_total_size_bytes = ${batchBytesMax}`,
  )
}

async function verifyMessage(
  store: BlobStore,
  digestFunction: DigestFunction,
  { digest: digestMessage, data, compressor }: BlobMessage,
): Promise<VerifiedBlob> {
  const digest = digestFromProto(digestMessage, digestFunction)
  assertBlobSize(store, digest, 'digest')
  const bytes = data ?? new Uint8Array(0)
  switch (compressor ?? Compressor.IDENTITY) {
    case Compressor.IDENTITY:
      return verifyBlob(digest, bytes)
    case Compressor.ZSTD:
      return verifyBlob(digest, await unpackZstd(bytes, digest.sizeBytes))
    default:
      throw invalidField('compressor', 'only IDENTITY and ZSTD are supported')
  }
}

/** What went wrong for all of them, or undefined. */
async function putAll(
  store: BlobStore,
  digestFunction: DigestFunction,
  verified: readonly (VerifiedBlob | undefined)[],
): Promise<unknown> {
  const distinct = new Map<string, VerifiedBlob>()
  for (const blob of verified) {
    if (blob) distinct.set(digestText(digestOf(blob, digestFunction)), blob)
  }
  if (distinct.size === 0) return undefined
  try {
    await store.putBatch([...distinct.values()])
    return undefined
  } catch (error) {
    return error
  }
}
