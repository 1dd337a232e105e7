import { close, closeSync, fstat, fstatSync, open, openSync, read, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { AssetError } from '../../asset/errors.ts'
import type { ReadRange } from '../blob-store.ts'

const openFile = promisify(open)
const statFile = promisify(fstat)
const closeFile = promisify(close)

/** Reads of up to this size are made synchronously: when cached, that costs a fifth. */
export const syncReadBytesMax = 64 * 1024

// Small chunks are cut out of larger reads, since each read is a trip to the thread pool.
const blockBytes = 512 * 1024

/** The file of a blob is not there or is not the blob. */
export class DamagedFileError extends Error {
  override readonly name = 'DamagedFileError'
}

/** All bytes of a small file. Throws DamagedFileError, or the system's error. */
export function readFileNow(path: string, sizeBytes: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    if (fstatSync(fd).size !== sizeBytes) throw new DamagedFileError(`${path} has a wrong size`)
    const data = Buffer.allocUnsafeSlow(sizeBytes)
    let at = 0
    while (at < sizeBytes) {
      const count = readSync(fd, data, at, sizeBytes - at, at)
      if (count === 0) throw new DamagedFileError(`${path} has been cut`)
      at += count
    }
    return data
  } finally {
    closeSync(fd)
  }
}

/**
 * Streams a file, reading one block ahead of the consumer. The file may be unlinked meanwhile.
 * Throws DamagedFileError or the system's error before the first chunk if it is not as it should be.
 */
export async function* readFileChunks(
  path: string,
  sizeBytes: number,
  range: ReadRange,
): AsyncGenerator<Uint8Array> {
  const chunkBytes = range.chunkBytes ?? 64 * 1024
  const start = range.offsetBytes ?? 0
  const end = Math.min(sizeBytes, start + (range.lengthBytes ?? Number.POSITIVE_INFINITY))
  const stepBytes = Math.max(1, Math.floor(blockBytes / chunkBytes)) * chunkBytes
  const fd = await openFile(path, 'r')
  let ahead: Promise<Buffer> | undefined
  let spare: Buffer | undefined
  try {
    if ((await statFile(fd)).size !== sizeBytes) {
      throw new DamagedFileError(`${path} has a wrong size`)
    }
    const readAt = (at: number) => {
      const block = at < end ? readBlock(fd, at, Math.min(stepBytes, end - at), spare) : undefined
      // Awaited in its turn; until then a failure is nobody's.
      block?.catch(() => undefined)
      return block
    }
    ahead = readAt(start)
    for (let at = start; ahead; at += stepBytes) {
      const block: Buffer = await ahead
      ahead = readAt(at + stepBytes)
      for (let offset = 0; offset < block.byteLength; offset += chunkBytes) {
        yield block.subarray(offset, Math.min(block.byteLength, offset + chunkBytes))
      }
      if (range.reusesMemory) spare = block
    }
  } finally {
    // The number of a closed file is given to the next one: no read may be under way.
    await ahead?.catch(() => undefined)
    await closeFile(fd)
  }
}

/** Into the memory of an earlier block, which was at least as large, if there is one. */
async function readBlock(
  fd: number,
  at: number,
  sizeBytes: number,
  spare: Buffer | undefined,
): Promise<Buffer> {
  const block = spare?.subarray(0, sizeBytes) ?? Buffer.allocUnsafeSlow(sizeBytes)
  let filled = 0
  while (filled < sizeBytes) {
    const count = await readSome(fd, block, filled, at + filled)
    if (count === 0)
      throw new AssetError('DATA_LOSS', 'the file of a blob was cut while it was read')
    filled += count
  }
  return block
}

function readSome(fd: number, block: Buffer, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, block, offset, block.byteLength - offset, position, (error, count) => {
      if (error) reject(error)
      else resolve(count)
    })
  })
}
