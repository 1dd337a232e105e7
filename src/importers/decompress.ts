import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { AssetError } from '../asset/errors.ts'
import type { ArchiveFormat } from './archive-format.ts'

/** Larger output chunks than the default 64 KiB: gunzip runs 1.5 times as fast. */
const outputChunkBytes = 1024 * 1024
/** The decoder runs in a thread of its own, and works ahead by this much. */
const aheadBytes = 4 * outputChunkBytes

/**
 * The tar stream inside an archive. Streams of several gzip members or zstd frames are read to the
 * end. Throws INVALID_ARGUMENT if the stream is damaged, cut short, or followed by something else.
 */
export async function* decompress(
  format: ArchiveFormat,
  packed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer<ArrayBuffer>> {
  if (format === 'tar') {
    for await (const chunk of packed) yield asBuffer(chunk)
    return
  }
  let packedBytes = 0
  async function* counted() {
    for await (const chunk of packed) {
      packedBytes += chunk.byteLength
      yield chunk
    }
  }
  const options = { chunkSize: outputChunkBytes, highWaterMark: aheadBytes }
  const decoder = format === 'tar+gzip' ? createGunzip(options) : createZstdDecompress(options)
  const source = Readable.from(counted(), { objectMode: true, highWaterMark: 1 })
  source.on('error', (error) => decoder.destroy(error))
  source.pipe(decoder)
  try {
    for await (const chunk of decoder) yield chunk as Buffer<ArrayBuffer>
  } catch (error) {
    if (error instanceof AssetError) throw error
    throw damaged(format, describe(error), error)
  } finally {
    source.destroy()
    decoder.destroy()
  }
  // The gunzip passes over zeros that pad the last block; zstd stops after its last frame.
  if (format === 'tar+zstd' && decoder.bytesWritten !== packedBytes) {
    throw damaged(format, 'something else follows its end')
  }
}

function describe(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'Z_BUF_ERROR') return 'it is cut short'
  return error instanceof Error ? error.message : String(error)
}

function damaged(format: ArchiveFormat, problem: string, cause?: unknown): AssetError {
  const name = format.slice('tar+'.length)
  return new AssetError('INVALID_ARGUMENT', `the ${name} stream cannot be read: ${problem}`, {
    cause,
  })
}

function asBuffer(bytes: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
}
