import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AssetIndex } from '../../src/asset-index/asset-index.ts'
import { cachingAssetIndex } from '../../src/asset-index/caching-asset-index.ts'
import { SqliteAssetIndex } from '../../src/asset-index/sqlite/sqlite-asset-index.ts'
import { assetIndexContract, assetRow } from '../contract/asset-index-contract.ts'

async function openFixture(
  durability: 'normal' | 'strict',
  decorate: (index: AssetIndex) => AssetIndex = (index) => index,
) {
  const directory = await mkdtemp(join(tmpdir(), 'asset-index-'))
  const path = join(directory, 'assets.db')
  const open = async () => decorate(await SqliteAssetIndex.open({ path, durability }))
  let index = await open()
  return {
    index,
    async reopen() {
      await index[Symbol.asyncDispose]()
      index = await open()
      return index
    },
    async dispose() {
      await index[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}

assetIndexContract('SqliteAssetIndex', () => openFixture('normal'))
assetIndexContract('SqliteAssetIndex, strict', () => openFixture('strict'))
assetIndexContract('SqliteAssetIndex, cached', () => openFixture('normal', cachingAssetIndex))

test('a file that is no database is refused in one sentence', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'asset-index-'))
  const path = join(directory, 'assets.db')
  await writeFile(path, 'this is not a database, and long enough to be read as a header'.repeat(9))
  await assert.rejects(SqliteAssetIndex.open({ path, durability: 'normal' }), {
    name: 'AssetError',
    code: 'DATA_LOSS',
  })
  await rm(directory, { recursive: true })
})

test('a put after closing says that the index is closed', async () => {
  const fixture = await openFixture('normal')
  await fixture.dispose()
  await assert.rejects(fixture.index.put([assetRow()]), { code: 'UNAVAILABLE' })
})
