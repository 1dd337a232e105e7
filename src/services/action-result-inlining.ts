import type { Digest, DigestFunction } from '../asset/digest.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { digestFromProto } from '../wire/digests.ts'
import type { ActionResultMessage } from './action-result-content.ts'

/** The result with what is inlined stays at half of the message size that clients take. */
const inlinedResultBytesMax = 2 * 1024 ** 2

// Tag and length of an inlined field, and what the lengths around it may grow by.
const fieldOverheadBytes = 16

export interface InlineWishes {
  readonly inlineStdout: boolean
  readonly inlineStderr: boolean
  /** Paths as in `output_files`. */
  readonly inlineOutputFiles: readonly string[]
}

/**
 * Puts content into the result where the client asked for it and it fits; what does not fit is left
 * out, as REAPI allows. Changes `result`, whose encoded size is `resultBytes`.
 */
export async function inlineContent(
  store: BlobStore,
  digestFunction: DigestFunction,
  { result, resultBytes }: { result: ActionResultMessage; resultBytes: number },
  wishes: InlineWishes,
): Promise<void> {
  let roomBytes = inlinedResultBytesMax - resultBytes
  const read = async (digest: Digest): Promise<Uint8Array | undefined> => {
    const costBytes = digest.sizeBytes + fieldOverheadBytes
    if (digest.sizeBytes === 0 || costBytes > roomBytes) return undefined
    const [data] = await store.readBatch([digest])
    if (data !== undefined) roomBytes -= costBytes
    return data
  }
  const parse = (message: Parameters<typeof digestFromProto>[0]): Digest =>
    digestFromProto(message, digestFunction)

  if (wishes.inlineStdout && result.stdoutDigest && !result.stdoutRaw?.byteLength) {
    result.stdoutRaw = (await read(parse(result.stdoutDigest))) ?? null
  }
  if (wishes.inlineStderr && result.stderrDigest && !result.stderrRaw?.byteLength) {
    result.stderrRaw = (await read(parse(result.stderrDigest))) ?? null
  }
  const wanted = new Set(wishes.inlineOutputFiles)
  if (wanted.size === 0) return
  for (const file of result.outputFiles ?? []) {
    if (!wanted.has(file.path ?? '') || file.contents?.byteLength) continue
    file.contents = (await read(parse(file.digest))) ?? null
  }
}
