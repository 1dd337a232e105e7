import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { AssetError } from '../asset/errors.ts'
import type { HttpAnswer } from './http-exchange.ts'
import { bodyError, httpError, stoppedError } from './http-failure.ts'
import type { HttpLimits } from './http-limits.ts'
import { headerValue } from './http-status.ts'

export interface HttpBodyOptions {
  readonly answer: HttpAnswer
  /** The URI asked for, then those that redirects led to. */
  readonly hops: readonly URL[]
  readonly limits: HttpLimits
  readonly signal: AbortSignal
}

export interface HttpBody {
  readonly bytes: AsyncIterable<Uint8Array>
  /** Size of `bytes`, where the origin announced it. */
  readonly sizeBytes: number | undefined
}

/**
 * The content of an answer of status 200, checked as it passes: that all of it comes, that it stays
 * within its limit, that it is as the origin has it and not encoded for the way.
 * @throws AssetError at once, for an announced size over the limit or an encoding we do not read.
 */
export function httpBody(options: HttpBodyOptions): HttpBody {
  const { answer, hops, limits } = options
  const encoding = bodyEncoding(answer, hops)
  const announcedBytes = contentLength(answer)
  if (announcedBytes !== undefined && announcedBytes > limits.sizeBytesMax) {
    const reason = `the origin announces ${announcedBytes} bytes, ${tooLarge(limits)}`
    throw httpError(hops, 'RESOURCE_EXHAUSTED', reason)
  }
  const progress = { gotBytes: 0, announcedBytes }
  const plain = counted(options, progress)
  const bytes = encoding === 'gzip' ? gunzipped(plain, options, progress) : plain
  return {
    bytes: readOnce(bytes, hops),
    sizeBytes: encoding === 'gzip' ? undefined : announcedBytes,
  }
}

interface Progress {
  gotBytes: number
  readonly announcedBytes: number | undefined
}

async function* counted(options: HttpBodyOptions, progress: Progress) {
  const { answer, hops, limits, signal } = options
  try {
    for await (const chunk of answer.body) {
      progress.gotBytes += chunk.byteLength
      if (progress.gotBytes > limits.sizeBytesMax) {
        throw httpError(hops, 'RESOURCE_EXHAUSTED', `the body is ${tooLarge(limits)}`)
      }
      yield chunk
    }
  } catch (cause) {
    if (signal.aborted) throw stoppedError(hops, signal)
    throw bodyError(hops, cause, limits, progress)
  } finally {
    answer.close()
  }
  // undici checks this too; it is cheap, and no truncated body may ever pass for a whole one.
  if (progress.announcedBytes !== undefined && progress.gotBytes !== progress.announcedBytes) {
    throw bodyError(hops, undefined, limits, progress)
  }
}

async function* gunzipped(
  source: AsyncIterable<Uint8Array>,
  { hops, limits }: HttpBodyOptions,
  progress: Progress,
) {
  // 256 KiB chunks decode half as fast again as the default of 16 KiB.
  const gunzip = createGunzip({ chunkSize: 256 * 1024 })
  const feeding = pipeline(source, gunzip)
  // What goes wrong in the source destroys `gunzip`, whose iterator then throws it.
  feeding.catch(() => {})
  let decodedBytes = 0
  try {
    for await (const chunk of gunzip) {
      decodedBytes += chunk.byteLength
      const excess = decodedExcess(decodedBytes, progress.gotBytes, limits)
      if (excess) {
        throw httpError(hops, 'RESOURCE_EXHAUSTED', `the gzip-encoded body decodes to ${excess}`)
      }
      yield chunk
    }
    await feeding
  } catch (cause) {
    if (cause instanceof AssetError) throw cause
    const reason = 'the body was sent gzip-encoded, and is not whole or not gzip'
    throw httpError(hops, 'UPSTREAM_UNAVAILABLE', reason, { cause })
  } finally {
    gunzip.destroy()
  }
}

function decodedExcess(
  decodedBytes: number,
  gotBytes: number,
  limits: HttpLimits,
): string | undefined {
  const { sizeBytesMax, gunzipFreeBytes, gunzipRatioMax } = limits
  if (decodedBytes > sizeBytesMax) return `something ${tooLarge(limits)}`
  const freeBytes = Math.max(gunzipFreeBytes, gotBytes * gunzipRatioMax)
  return decodedBytes > freeBytes ? `more than ${gunzipRatioMax} times its size` : undefined
}

/** A second reading would find an iterator that has ended, which looks like an empty body. */
function readOnce(bytes: AsyncGenerator<Uint8Array>, hops: readonly URL[]) {
  let isRead = false
  return {
    [Symbol.asyncIterator]() {
      if (isRead) throw httpError(hops, 'INTERNAL', 'the body was read twice')
      isRead = true
      return bytes
    },
  }
}

function tooLarge({ sizeBytesMax }: HttpLimits): string {
  return `larger than the limit of ${sizeBytesMax} bytes`
}

function contentLength(answer: HttpAnswer): number | undefined {
  const value = headerValue(answer.headers, 'content-length')
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined
}

/**
 * Files that are compressed by themselves. Servers label them with `Content-Encoding: gzip` though
 * the compression belongs to the file and to its checksum; Bazel leaves such bodies alone as well.
 */
const compressedName =
  /\.(gz|tgz|taz|svgz|bz2|tbz|tbz2|xz|txz|lzma|lz|tlz|zst|tzst|br|z|zip|jar|war|whl|7z|crate)$/i

/** Words found in Content-Encoding that change nothing; `aws-chunked` is what S3 uploads leave. */
const identityWords = new Set(['', 'identity', 'none', 'binary', 'utf-8', 'utf8', 'aws-chunked'])

function bodyEncoding(answer: HttpAnswer, hops: readonly URL[]): 'gzip' | 'identity' {
  const value = answer.headers['content-encoding'] ?? ''
  const codings = String(value)
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
    .filter((word) => !identityWords.has(word))
  if (codings.length === 0) return 'identity'
  const [asked, last] = [hops.at(0), hops.at(-1)]
  if ([asked, last].some((url) => url && compressedName.test(url.pathname))) return 'identity'
  const [coding, ...more] = codings
  if (more.length === 0 && (coding === 'gzip' || coding === 'x-gzip')) return 'gzip'
  const shown = codings.join(', ').slice(0, 64)
  const reason = `the body is encoded with "${shown}", though it was asked for without encoding`
  throw httpError(hops, 'PERMISSION_DENIED', reason)
}
