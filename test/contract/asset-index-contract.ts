import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AssetIndex, type AssetRow, scopedRowsMax } from '../../src/asset-index/asset-index.ts'

/** What opens an index for a test; `reopen` gives the same data again. */
export interface AssetIndexFixture {
  readonly index: AssetIndex
  reopen(): Promise<AssetIndex>
  dispose(): Promise<void>
}

/** A row with every field set, but for what a test changes. */
export function assetRow(changes: Partial<AssetRow> = {}): AssetRow {
  return {
    kind: 'blob',
    instance: 'main',
    digestFunction: 'SHA256',
    uri: 'https://example.com/a.tar.gz',
    qualifiers: [],
    digest: { function: 'SHA256', hash: 'ab'.repeat(32), sizeBytes: 7 },
    source: 'fetched',
    scope: '',
    retrievedAtMs: 1000,
    expiresAtMs: 5000,
    etag: '"1"',
    lastModified: 'Tue, 24 Nov 2026 10:00:00 GMT',
    finalUri: 'https://mirror.example.com/a.tar.gz',
    resolved: [{ name: 'vcs.commit', value: 'c'.repeat(40) }],
    ...changes,
  }
}

/** The rules that every asset index keeps. */
export function assetIndexContract(name: string, open: () => Promise<AssetIndexFixture>): void {
  const withIndex = (run: (fixture: AssetIndexFixture) => Promise<void>) => async () => {
    const fixture = await open()
    try {
      await run(fixture)
    } finally {
      await fixture.dispose()
    }
  }

  describe(`${name} keeps the contract of an asset index`, () => {
    test(
      'a row comes back as it was put, also after a restart',
      withIndex(async (fixture) => {
        const full = assetRow()
        const bare = assetRow({
          uri: 'urn:bare',
          expiresAtMs: undefined,
          etag: undefined,
          lastModified: undefined,
          finalUri: undefined,
          resolved: [],
        })
        await fixture.index.put([full, bare])
        assert.deepEqual(await fixture.index.find(full), [full])
        const again = await fixture.reopen()
        assert.deepEqual(await again.find(full), [full])
        assert.deepEqual(await again.find(bare), [bare])
        assert.deepEqual(await again.stats(), { assets: 2 })
      }),
    )

    test(
      'every part of the key tells assets apart',
      withIndex(async ({ index }) => {
        const rows = [
          assetRow(),
          assetRow({ kind: 'directory' }),
          assetRow({ instance: 'main/b' }),
          assetRow({ instance: '' }),
          assetRow({ uri: 'https://example.com/A.tar.gz' }),
          assetRow({ qualifiers: [{ name: 'a', value: 'b' }] }),
          assetRow({ qualifiers: [{ name: 'ab', value: '' }] }),
          assetRow({
            digestFunction: 'BLAKE3',
            digest: { function: 'BLAKE3', hash: 'cd'.repeat(32), sizeBytes: 7 },
          }),
        ]
        await index.put(rows)
        for (const row of rows) assert.deepEqual(await index.find(row), [row])
        assert.deepEqual(await index.find(assetRow({ uri: 'urn:unknown' })), [])
      }),
    )

    test(
      'a later row replaces the one of the same key and scope',
      withIndex(async ({ index }) => {
        const first = assetRow()
        const second = assetRow({
          digest: { function: 'SHA256', hash: 'ef'.repeat(32), sizeBytes: 9 },
          retrievedAtMs: 2000,
          expiresAtMs: undefined,
        })
        await index.put([first])
        await index.put([second])
        assert.deepEqual(await index.find(first), [second])
      }),
    )

    test(
      'a row is found as soon as its put is done, though it was absent or other before',
      withIndex(async ({ index }) => {
        for (let round = 1; round <= 50; round += 1) {
          const row = assetRow({ retrievedAtMs: round })
          const before = index.find(row)
          const put = index.put([row])
          const meanwhile = index.find(row)
          await put
          assert.deepEqual(await index.find(row), [row])
          assert.ok((await before).length <= 1 && (await meanwhile).length <= 1)
        }
      }),
    )

    test(
      'rows of different scopes stand side by side, the newest first',
      withIndex(async ({ index }) => {
        const open_ = assetRow({ retrievedAtMs: 1 })
        const ofA = assetRow({ scope: 'a', retrievedAtMs: 3 })
        const ofB = assetRow({ scope: 'b', retrievedAtMs: 2 })
        await index.put([open_, ofA, ofB])
        assert.deepEqual(await index.find(open_), [ofA, ofB, open_])
      }),
    )

    test(
      'of the rows with scopes of one key, those retrieved last are kept',
      withIndex(async ({ index }) => {
        const scoped = (n: number) => assetRow({ scope: `scope ${n}`, retrievedAtMs: n })
        const open = assetRow({ retrievedAtMs: 0 })
        const other = assetRow({ uri: 'urn:other', scope: 'scope 0', retrievedAtMs: 0 })
        const count = scopedRowsMax + 20
        await index.put([open, other])
        await index.put(Array.from({ length: count }, (_, n) => scoped(n + 1)))
        const found = await index.find(open)
        assert.equal(found.length, scopedRowsMax + 1)
        assert.deepEqual(found.at(0), scoped(count))
        assert.deepEqual(found.at(-2), scoped(count - scopedRowsMax + 1))
        assert.deepEqual(found.at(-1), open)
        assert.deepEqual(await index.find(other), [other])
      }),
    )

    test(
      'pushed supersets are found, and nothing else',
      withIndex(async ({ index }) => {
        const q = (...pairs: string[]) => pairs.map((name) => ({ name, value: `${name}-value` }))
        const superset = assetRow({ source: 'pushed', qualifiers: q('a', 'b'), retrievedAtMs: 1 })
        const newer = assetRow({ source: 'pushed', qualifiers: q('a', 'c'), retrievedAtMs: 2 })
        await index.put([
          superset,
          newer,
          assetRow({ source: 'pushed', qualifiers: q('a') }),
          assetRow({ source: 'pushed', qualifiers: q('b', 'c') }),
          assetRow({ source: 'pushed', qualifiers: [{ name: 'a', value: 'other' }, ...q('b')] }),
          assetRow({ source: 'fetched', qualifiers: q('a', 'd') }),
          assetRow({ source: 'pushed', qualifiers: q('a', 'e'), uri: 'urn:other' }),
          assetRow({ source: 'pushed', qualifiers: q('a', 'e'), instance: 'other' }),
          assetRow({ source: 'pushed', qualifiers: q('a', 'e'), kind: 'directory' }),
        ])
        const asked = assetRow({ qualifiers: q('a') })
        assert.deepEqual(await index.findPushedSupersets(asked), [newer, superset])
      }),
    )

    test(
      'the scope key is random and stays the same',
      withIndex(async (fixture) => {
        const before = Buffer.from(fixture.index.scopeKey).toString('hex')
        assert.match(before, /^[0-9a-f]{64}$/)
        const again = await fixture.reopen()
        assert.equal(Buffer.from(again.scopeKey).toString('hex'), before)
      }),
    )

    test(
      'many puts at once are all kept',
      withIndex(async ({ index }) => {
        const rows = Array.from({ length: 500 }, (_, n) => assetRow({ uri: `urn:many:${n}` }))
        await Promise.all(rows.map((row) => index.put([row])))
        for (const row of rows) assert.deepEqual(await index.find(row), [row])
      }),
    )
  })
}
