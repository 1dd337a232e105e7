import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { importSetup } from '../fixtures/import-setup.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

for (const [format, pack] of [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`an archive that unpacks to more than the ratio allows is refused: ${format}`, async () => {
    await using setup = importSetup({ ratioMax: 100 })
    const bomb = pack(tarBytes([{ path: 'zeros', content: Buffer.alloc(40 * 1024 * 1024) }]))
    const error = await rejectionOf(setup.importBytes(bomb), 'RESOURCE_EXHAUSTED')
    assert.match(error.message, /ratioMax = 100/)
    assert.equal((await setup.store.stats()).blobs, 1, 'nothing but the archive itself is kept')
  })
}

test('zeros behind the end mark count as well', async () => {
  await using setup = importSetup({ ratioMax: 100 })
  const bomb = gzipSync(Buffer.concat([tarBytes([{ path: 'a' }]), Buffer.alloc(40 * 1024 * 1024)]))
  await rejectionOf(setup.importBytes(bomb), 'RESOURCE_EXHAUSTED')
})

test('a small archive may have any ratio', async () => {
  await using setup = importSetup({ ratioMax: 2 })
  const archive = gzipSync(tarBytes([{ path: 'zeros', content: Buffer.alloc(1024 * 1024) }]))
  assert.deepEqual(Object.keys(await setup.list(await setup.importBytes(archive))), ['zeros'])
})
