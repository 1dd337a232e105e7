import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompress,
  zstdDecompress,
} from 'node:zlib'
import { AssetError } from '../asset/errors.ts'

/**
 * 2^23 = 8 MiB is the window that RFC 8878 asks every decoder to support, and more than any level
 * below 20 uses. A frame header may demand 2 GiB otherwise.
 */
const windowLogMax = 23

const decoderParams = { [constants.ZSTD_d_windowLogMax]: windowLogMax }

// What zlib hands on at once: its default of 16 KiB makes large blobs slow.
const unpackedChunkBytesMin = 16 * 1024
const unpackedChunkBytesMax = 256 * 1024

/** The level that clients use, at which packing is about as fast as a 10 Gbit network. */
const encoderParams = { [constants.ZSTD_c_compressionLevel]: 1 }

const compressOnce = promisify(zstdCompress)
const decompressOnce = promisify(zstdDecompress)

/** One zstd frame around bytes in memory. */
export function packZstd(bytes: Uint8Array): Promise<Uint8Array> {
  return compressOnce(bytes, { params: encoderParams })
}

/**
 * The content of zstd frames in memory; stops as soon as it is larger than `sizeBytesMax`.
 * @throws AssetError INVALID_ARGUMENT
 */
export async function unpackZstd(bytes: Uint8Array, sizeBytesMax: number): Promise<Uint8Array> {
  try {
    // A limit of 0 is not accepted by zlib; the digest check finds the one byte too many.
    const maxOutputLength = Math.max(1, sizeBytesMax)
    return await decompressOnce(bytes, { maxOutputLength, params: decoderParams })
  } catch (error) {
    if (errorCode(error) !== 'ERR_BUFFER_TOO_LARGE') throw notZstd(error)
    throw new AssetError(
      'INVALID_ARGUMENT',
      `the zstd data unpacks to more than the ${sizeBytesMax} bytes of its digest`,
    )
  }
}

/**
 * Packs a stream into one zstd frame, in chunks of at most `chunkBytes`. Takes the next chunk only
 * when the one before is used up, so sources may reuse their memory.
 */
export async function* packZstdStream(
  source: AsyncIterable<Uint8Array>,
  { chunkBytes, sizeBytes }: { chunkBytes: number; sizeBytes: number },
): AsyncGenerator<Uint8Array> {
  const encoder = createZstdCompress({
    chunkSize: chunkBytes,
    params: encoderParams,
    // Lets the frame name its size, by which decoders choose their memory.
    pledgedSrcSize: sizeBytes,
  })
  const feeding = feed(source, encoder)
  // The error of the source comes out of the encoder; this keeps it from being reported twice.
  feeding.catch((error: unknown) => encoder.destroy(error as Error))
  try {
    for await (const chunk of encoder) yield chunk
  } finally {
    encoder.destroy()
    // So that the source is closed when this generator is.
    await feeding.catch(() => {})
  }
}

async function feed(source: AsyncIterable<Uint8Array>, encoder: Transform): Promise<void> {
  for await (const chunk of source) {
    if (chunk.byteLength > 0) await writeChunk(encoder, chunk)
  }
  encoder.end()
}

/**
 * Unpacks zstd frames, any number of them, that come in pieces cut anywhere, and hands the content
 * on. The next piece is taken only when the content of the last has gone to the sink, so memory is
 * bounded by the window and a few buffers, whatever the ratio.
 */
export class ZstdUnpacker implements AsyncDisposable {
  readonly #decoder: Transform
  readonly #draining: Promise<void>

  /**
   * `sizeBytes` is the size that the content should have. An error of the sink, its limit on that
   * size too, comes out of `write` or `end`.
   */
  constructor(sizeBytes: number, sink: (chunk: Uint8Array) => Promise<void>) {
    const chunkSize = Math.min(Math.max(sizeBytes, unpackedChunkBytesMin), unpackedChunkBytesMax)
    this.#decoder = createZstdDecompress({ chunkSize, params: decoderParams })
    this.#draining = this.#drain(sink)
    // Seen by whoever calls `write` or `end` next, or by nobody if the upload was given up.
    this.#draining.catch(() => {})
  }

  /** @throws AssetError INVALID_ARGUMENT if the bytes are not zstd, or what the sink threw */
  async write(piece: Uint8Array): Promise<void> {
    if (piece.byteLength === 0) return
    try {
      await writeChunk(this.#decoder, piece)
    } catch (error) {
      // What went wrong first is known there; a destroyed stream only says that it is destroyed.
      await this.#draining
      throw notZstd(error)
    }
  }

  /** Resolves when the sink has everything. @throws as `write`, also if the last frame is cut */
  async end(): Promise<void> {
    this.#decoder.end()
    await this.#draining
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#decoder.destroy()
    await this.#draining.catch(() => {})
  }

  async #drain(sink: (chunk: Uint8Array) => Promise<void>): Promise<void> {
    try {
      for await (const chunk of this.#decoder) await sink(chunk)
    } catch (error) {
      throw error instanceof AssetError ? error : notZstd(error)
    }
  }
}

/** Resolves when the chunk is used up. A stream destroyed meanwhile never calls back, but closes. */
function writeChunk(stream: Transform, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new Error('the stream was closed'))
    stream.once('close', onClose)
    stream.write(chunk, (error) => {
      stream.off('close', onClose)
      if (error) reject(error)
      else resolve()
    })
  })
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function notZstd(error: unknown): AssetError {
  const reason = error instanceof Error ? error.message : String(error)
  return new AssetError('INVALID_ARGUMENT', `the data cannot be unpacked as zstd: ${reason}`, {
    cause: error,
  })
}
