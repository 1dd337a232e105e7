import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { AssetError } from '../../src/asset/errors.ts'
import { packZstdStream, unpackZstd, ZstdUnpacker } from '../../src/services/zstd.ts'

async function unpackPieces(pieces: Iterable<Uint8Array>): Promise<Buffer> {
  const out: Uint8Array[] = []
  await using unpacker = new ZstdUnpacker(
    1000,
    async (chunk) => void out.push(new Uint8Array(chunk)),
  )
  for (const piece of pieces) await unpacker.write(piece)
  await unpacker.end()
  return Buffer.concat(out)
}

async function* chunksOf(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
    yield bytes.subarray(at, at + chunkBytes)
  }
}

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const edges = [0, ...places.map((place) => place % (bytes.byteLength + 1)), bytes.byteLength]
  edges.sort((a, b) => a - b)
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge))
}

function isInvalidArgument(error: unknown): boolean {
  return error instanceof AssetError && error.code === 'INVALID_ARGUMENT'
}

describe('zstd streams', () => {
  test('any number of frames in pieces cut anywhere unpack to their content', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 5 }),
      async (contents, places) => {
        const packed = Buffer.concat(contents.map((content) => zstdCompressSync(content)))
        assert.deepEqual(await unpackPieces(cut(packed, places)), Buffer.concat(contents))
      },
    )
    await fc.assert(property, { numRuns: 200 })
  })

  test('packs into one frame, whatever the chunks', async () => {
    for (const sizeBytes of [0, 1, 70_000, 3_000_000]) {
      const content = Buffer.alloc(sizeBytes, 'some words that repeat ')
      const packed: Uint8Array[] = []
      const options = { chunkBytes: 64 * 1024, sizeBytes }
      for await (const chunk of packZstdStream(chunksOf(content, 50_000), options)) {
        assert.ok(chunk.byteLength <= options.chunkBytes)
        packed.push(chunk)
      }
      assert.ok(zstdDecompressSync(Buffer.concat(packed)).equals(content))
    }
  })

  test('an error of the source comes out as it is', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      throw new AssetError('DATA_LOSS', 'damaged')
    }
    const packing = packZstdStream(broken(), { chunkBytes: 65_536, sizeBytes: 20 })
    await assert.rejects(Array.fromAsync(packing), { code: 'DATA_LOSS', message: 'damaged' })
  })

  test('a consumer that leaves early closes the source', async () => {
    let closed = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        while (true) {
          yield crypto.getRandomValues(new Uint8Array(65_536))
        }
      } finally {
        closed = true
      }
    }
    for await (const _ of packZstdStream(endless(), { chunkBytes: 65_536, sizeBytes: 2 ** 40 })) {
      break
    }
    assert.ok(closed)
  })

  test('an error of the sink comes out of the writer, and no more is unpacked', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2))
    let taken = 0
    await using unpacker = new ZstdUnpacker(1000, async (chunk) => {
      taken += chunk.byteLength
      if (taken > 1000) throw new AssetError('INVALID_ARGUMENT', 'enough')
    })
    const feeding = async () => {
      for (const piece of cut(bomb, [10, 1000, 3000])) await unpacker.write(piece)
      await unpacker.end()
    }
    await assert.rejects(feeding(), { message: 'enough' })
    assert.ok(taken < 1024 ** 2, `${taken} bytes were unpacked`)
  })

  const good = zstdCompressSync(Buffer.from('hello hello hello hello'))
  const bad: [string, Uint8Array[]][] = [
    ['nothing', []],
    ['garbage', [Buffer.from('this is not zstd at all')]],
    ['a cut frame', [good.subarray(0, good.byteLength - 2)]],
    ['a cut second frame', [good, good.subarray(0, 8)]],
  ]
  for (const [name, pieces] of bad) {
    test(`${name} is INVALID_ARGUMENT`, async () => {
      await assert.rejects(unpackPieces(pieces), isInvalidArgument)
      await assert.rejects(unpackZstd(Buffer.concat(pieces), 1000), isInvalidArgument)
    })
  }

  test('a frame that wants a window of 128 MiB is INVALID_ARGUMENT', async () => {
    const encoder = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } })
    encoder.end(Buffer.alloc(1000))
    const packed = await Array.fromAsync(encoder)
    await assert.rejects(unpackPieces(packed), isInvalidArgument)
  })

  test('unpacking in memory stops beyond the size', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(1_000_000))
    await assert.rejects(unpackZstd(bomb, 1000), /more than the 1000 bytes/)
    assert.equal((await unpackZstd(bomb, 1_000_000)).byteLength, 1_000_000)
  })
})
