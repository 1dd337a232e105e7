import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest, DigestFunction } from '../asset/digest.ts'
import { AssetError, invalidField, toAssetError } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { build } from '../gen/reapi.js'
import { digestFromProto } from '../wire/digests.ts'
import { toInlineStatus } from '../wire/status.ts'
import { responseBytesMax } from './batch-limits.ts'
import { assertBatchSize } from './batch-update.ts'
import { functionOfRequest } from './request-digests.ts'
import { packZstd } from './zstd.ts'

type v2 = typeof build.bazel.remote.execution.v2
type BatchReadRequest = ReturnType<v2['BatchReadBlobsRequest']['decode']>
type BatchReadResponse = build.bazel.remote.execution.v2.BatchReadBlobsResponse.$Properties
type Answer = build.bazel.remote.execution.v2.BatchReadBlobsResponse.Response.$Properties
type DigestMessage = build.bazel.remote.execution.v2.Digest.$Properties

const { Value: Compressor } = build.bazel.remote.execution.v2.Compressor

/** Below this, a zstd frame gains nothing. */
const packedSizeBytesMin = 128

// Blobs looked up before the event loop gets its turn: at 10 µs each, 5 ms.
const lookUpsPerTurn = 512

// Of an answer without data: tags, lengths and the size take up to 32 bytes, a status 24 more.
const answerOverheadBytes = 56
const errorTextCharsMax = 160

const notHeld = toInlineStatus(new AssetError('NOT_FOUND', 'blob is not held'))
const full = toInlineStatus(new AssetError('RESOURCE_EXHAUSTED', 'response is full'))

interface Question {
  /** As it came, for the answer must repeat it. */
  readonly message: DigestMessage
  readonly digest: Digest | undefined
  readonly error: AssetError | undefined
}

/**
 * Reads small blobs. Answers each digest exactly as it was asked, duplicates too, always with a
 * status. Where thousands of tiny blobs do not fit into the message, the last ones are
 * RESOURCE_EXHAUSTED, which clients ask again for.
 * @throws AssetError INVALID_ARGUMENT if the sizes together are beyond `batchBytesMax`
 */
export async function batchReadBlobs(
  store: BlobStore,
  request: BatchReadRequest,
): Promise<BatchReadResponse> {
  const digestFunction = functionOfRequest(request.digestFunction, request.digests[0])
  assertBatchSize(request.digests)
  const packs = (request.acceptableCompressors ?? []).includes(Compressor.ZSTD)
  const questions = request.digests.map((message) => parseQuestion(message, digestFunction))
  let roomBytes = responseBytesMax
  for (const question of questions) roomBytes -= overheadBytes(question)
  if (roomBytes < 0) {
    throw invalidField('digests', `${questions.length} answers do not fit into one response`)
  }
  const responses: Answer[] = []
  for (let start = 0; start < questions.length; start += lookUpsPerTurn) {
    if (start > 0) await nextTurn()
    const group = questions.slice(start, start + lookUpsPerTurn)
    const contents = await readGroup(store, group)
    for (const [index, question] of group.entries()) {
      const answer = await answerOf(question, contents[index], packs)
      const dataBytes = answer.data?.byteLength ?? 0
      const fits = dataBytes <= roomBytes
      if (fits) roomBytes -= dataBytes
      responses.push(fits ? answer : { digest: question.message, status: full })
    }
  }
  return { responses }
}

function parseQuestion(message: DigestMessage, digestFunction: DigestFunction): Question {
  try {
    return { message, digest: digestFromProto(message, digestFunction), error: undefined }
  } catch (error) {
    return { message, digest: undefined, error: toAssetError(error) }
  }
}

function overheadBytes({ message, error }: Question): number {
  const errorBytes = error === undefined ? 0 : 4 * errorTextCharsMax
  return Buffer.byteLength(message.hash ?? '') + answerOverheadBytes + errorBytes
}

async function readGroup(
  store: BlobStore,
  group: readonly Question[],
): Promise<(Uint8Array | undefined)[]> {
  const digests = group.flatMap(({ digest }) => digest ?? [])
  const found = (await store.readBatch(digests)).values()
  return group.map(({ digest }) => (digest === undefined ? undefined : found.next().value))
}

async function answerOf(
  { message, error }: Question,
  data: Uint8Array | undefined,
  packs: boolean,
): Promise<Answer> {
  if (error !== undefined) {
    const text = error.message.slice(0, errorTextCharsMax)
    return { digest: message, status: toInlineStatus(new AssetError(error.code, text)) }
  }
  if (data === undefined) return { digest: message, status: notHeld }
  if (packs && data.byteLength >= packedSizeBytesMin) {
    const packed = await packZstd(data)
    if (packed.byteLength < data.byteLength) {
      return { digest: message, data: packed, status: {}, compressor: Compressor.ZSTD }
    }
  }
  return { digest: message, data, status: {} }
}
