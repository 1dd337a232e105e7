import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { importSetup } from '../fixtures/import-setup.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const tar = tarBytes([
  { path: 'a', content: 'x'.repeat(2000) },
  { path: 'b', content: 'b' },
])

for (const [format, pack] of [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`a ${format} stream is refused wherever it is cut`, async () => {
    await using setup = importSetup()
    const packed = pack(tar)
    const cuts = [packed.length - 1, packed.length - 8, Math.floor(packed.length / 2), 20]
    for (const cut of cuts) {
      const error = await rejectionOf(
        setup.importBytes(packed.subarray(0, cut)),
        'INVALID_ARGUMENT',
      )
      assert.match(error.message, /cannot be read/)
    }
  })
}

test('a plain tar is refused wherever it is cut, even between two entries', async () => {
  await using setup = importSetup()
  for (const cut of [700, 512 + 2048, 512 + 2048 + 512, 512 + 2048 + 600, tar.length - 1024]) {
    const error = await rejectionOf(setup.importBytes(tar.subarray(0, cut)), 'INVALID_ARGUMENT')
    assert.match(error.message, /cut short/, `cut at ${cut}`)
  }
})

test('a tar that is cut inside a whole gzip stream is refused', async () => {
  await using setup = importSetup()
  for (const cut of [700, 512 + 2048 + 300, 512 + 2048 + 600]) {
    await rejectionOf(setup.importBytes(gzipSync(tar.subarray(0, cut))), 'INVALID_ARGUMENT')
  }
})

test('a damaged byte is found: in the gzip checksum, in a tar header', async () => {
  await using setup = importSetup()
  const packed = gzipSync(tar)
  packed.writeUInt32LE(packed.readUInt32LE(packed.length - 8) ^ 1, packed.length - 8)
  await rejectionOf(setup.importBytes(packed), 'INVALID_ARGUMENT')
  const damaged = Buffer.from(tar)
  damaged.writeUInt8(0x7a, 512 + 2048)
  const error = await rejectionOf(setup.importBytes(damaged), 'INVALID_ARGUMENT')
  assert.match(error.message, /checksum/)
})
