import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { importSetup } from '../fixtures/import-setup.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const tar = tarBytes([{ path: 'a', content: 'text' }])
const garbage = [Buffer.from('x'), Buffer.alloc(3_000_000, 'garbage'), Buffer.from([0x1f, 0x8b, 8])]

for (const [format, pack] of [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`something behind a ${format} stream is refused`, async () => {
    await using setup = importSetup()
    for (const rest of garbage) {
      const archive = Buffer.concat([pack(tar), rest])
      const error = await rejectionOf(setup.importBytes(archive), 'INVALID_ARGUMENT')
      assert.match(error.message, /stream cannot be read/)
    }
  })
}
