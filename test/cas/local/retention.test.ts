import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest } from '../../../src/asset/digest.ts'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import type { LocalStoreOptions } from '../../../src/cas/local/local-store-options.ts'
import { nameBlob } from '../../../src/cas/verified-blob.ts'
import { digestFor, hasCode, readAll, uploadAll } from '../../contract/blob-store-contract.ts'

const minute = 60_000

class Clock {
  nowMs = 1_000_000_000_000
  readonly read = () => this.nowMs
}

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'larder-retention-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function put(store: LocalBlobStore, sizeBytes: number): Promise<Digest> {
  const data = new Uint8Array(randomBytes(sizeBytes))
  const digest = digestFor(data)
  await store.putBatch([nameBlob(data, 'BLAKE3')])
  return digest
}

async function heldOf(store: LocalBlobStore, digests: readonly Digest[]): Promise<boolean[]> {
  const batch = await store.readBatch(digests)
  return batch.map((data) => data !== undefined)
}

for (const inlineSizeBytesMax of [0, 100_000]) {
  const options: LocalStoreOptions = { sizeBytesMax: 100_000, inlineSizeBytesMax }
  const where = inlineSizeBytesMax === 0 ? 'in files' : 'in the database'

  test(`the least recently used content ${where} makes room for new content`, () =>
    withDirectory(async (directory) => {
      const clock = new Clock()
      await using store = await LocalBlobStore.open(directory, { ...options, clock: clock.read })
      const digests: Digest[] = []
      for (let index = 0; index < 9; index++) {
        digests.push(await put(store, 10_000))
        clock.nowMs += minute
      }
      clock.nowMs += 60 * minute
      // Each method that names content extends its life.
      const [first, second, third, fourth] = digests as [Digest, Digest, Digest, Digest]
      assert.deepEqual(await store.findMissing([first]), [])
      await readAll(store, second)
      await store.findByHash('SHA256', third.hash)
      await store.translate(fourth, 'SHA1')
      const counter = store.evictionCounter()
      await put(store, 28_000)
      const held = await heldOf(store, digests)
      assert.deepEqual(held, [true, true, true, true, false, false, true, true, true])
      assert.ok(store.evictionCounter() > counter)
      const stats = store.stats()
      assert.deepEqual([stats.blobs, stats.sizeBytes], [8, 98_000])
      assert.deepEqual([stats.evictedBlobs, stats.evictedBytes], [2, 20_000])
      const evicted = digests[5] as Digest
      assert.equal(await store.findByHash('SHA256', evicted.hash), undefined)
      const files = await readdir(join(directory, 'blobs'), { recursive: true })
      const expected = inlineSizeBytesMax === 0 ? 8 : 0
      assert.equal(files.filter((name) => name.length > 60).length, expected)
    }))

  test(`content ${where} used within the protection window is not evicted`, () =>
    withDirectory(async (directory) => {
      const clock = new Clock()
      await using store = await LocalBlobStore.open(directory, { ...options, clock: clock.read })
      const first = await put(store, 60_000)
      clock.nowMs += 5 * minute
      const full = hasCode('RESOURCE_EXHAUSTED')
      await assert.rejects(put(store, 50_000), full)
      await assert.rejects(uploadAll(store, randomBytes(50_000)), full)
      // What is held already needs no room.
      assert.deepEqual(await store.findMissing([first]), [])
      const small = await put(store, 30_000)
      clock.nowMs += 20 * minute
      await store.findMissing([small])
      await put(store, 60_000)
      assert.deepEqual(await heldOf(store, [first, small]), [false, true])
      await assert.rejects(put(store, 100_001), full)
    }))
}

test('eviction starts by itself before the limit is reached', () =>
  withDirectory(async (directory) => {
    const clock = new Clock()
    const options = { sizeBytesMax: 100_000, clock: clock.read }
    await using store = await LocalBlobStore.open(directory, options)
    const first = await put(store, 50_000)
    clock.nowMs += 60 * minute
    const second = await put(store, 49_500)
    while (store.stats().sizeBytes > 98_000) await nextTurn()
    assert.deepEqual(await heldOf(store, [first, second]), [false, true])
  }))

test('a reader goes on while its content is evicted', () =>
  withDirectory(async (directory) => {
    const clock = new Clock()
    const options = { sizeBytesMax: 5_000_000, clock: clock.read }
    await using store = await LocalBlobStore.open(directory, options)
    const data = randomBytes(4_000_000)
    await uploadAll(store, data)
    const chunks: Uint8Array[] = []
    for await (const chunk of store.read(digestFor(data))) {
      if (chunks.length === 0) {
        clock.nowMs += 60 * minute
        await uploadAll(store, randomBytes(4_000_000))
        assert.deepEqual(await store.findMissing([digestFor(data)]), [digestFor(data)])
      }
      chunks.push(chunk)
    }
    assert.ok(Buffer.concat(chunks).equals(data))
  }))

test('writes that come together wait for room and all succeed', () =>
  withDirectory(async (directory) => {
    const clock = new Clock()
    const options = { sizeBytesMax: 1_000_000, clock: clock.read }
    await using store = await LocalBlobStore.open(directory, options)
    for (let round = 0; round < 5; round++) {
      clock.nowMs += 60 * minute
      const digests = await Promise.all(
        Array.from({ length: 30 }, (_, index) => put(store, 1000 + index * 2000)),
      )
      assert.deepEqual(await store.findMissing(digests), [])
      assert.ok(store.stats().sizeBytes <= 1_000_000)
    }
    assert.ok(store.stats().evictedBlobs > 0)
  }))

test('last uses survive a restart, and the counter never repeats', () =>
  withDirectory(async (directory) => {
    const clock = new Clock()
    const options = { sizeBytesMax: 100_000, clock: clock.read }
    let first: Digest
    let second: Digest
    let counter: number
    {
      await using store = await LocalBlobStore.open(directory, options)
      first = await put(store, 40_000)
      second = await put(store, 40_000)
      clock.nowMs += 60 * minute
      await store.findMissing([first])
      counter = store.evictionCounter()
    }
    clock.nowMs += 60 * minute
    await using store = await LocalBlobStore.open(directory, options)
    assert.ok(store.evictionCounter() > counter)
    assert.equal(store.stats().sizeBytes, 80_000)
    await put(store, 40_000)
    assert.deepEqual(await heldOf(store, [first, second]), [true, false])
  }))

test('a file that vanished or was cut is not held any more, and can be brought again', () =>
  withDirectory(async (directory) => {
    await using store = await LocalBlobStore.open(directory)
    for (const sizeBytes of [50_000, 500_000]) {
      for (const harm of [rm, (path: string) => truncate(path, 1000)]) {
        const data = randomBytes(sizeBytes)
        const digest = digestFor(data)
        await store.putBatch([nameBlob(Buffer.from(data))])
        const before = store.evictionCounter()
        await harm(join(directory, 'blobs', digest.hash.slice(0, 2), digest.hash))
        if (harm === rm) await assert.rejects(readAll(store, digest), hasCode('NOT_FOUND'))
        else assert.deepEqual(await store.readBatch([digest]), [undefined])
        assert.deepEqual(await store.findMissing([digest]), [digest])
        assert.equal(store.stats().blobs, 0)
        assert.ok(store.evictionCounter() > before)
        await store.putBatch([nameBlob(Buffer.from(data))])
        assert.ok((await readAll(store, digest)).equals(data))
        await harm(join(directory, 'blobs', digest.hash.slice(0, 2), digest.hash))
        await assert.rejects(readAll(store, digest), hasCode('NOT_FOUND'))
      }
    }
  }))

test('a closed store answers UNAVAILABLE', () =>
  withDirectory(async (directory) => {
    const store = await LocalBlobStore.open(directory)
    const digest = await put(store, 100)
    await store.check()
    await store[Symbol.asyncDispose]()
    const closed = hasCode('UNAVAILABLE')
    await assert.rejects(store.check(), closed)
    await assert.rejects(uploadAll(store, randomBytes(10)), closed)
    await assert.rejects(put(store, 10), closed)
    await assert.rejects(store.findMissing([digest]), closed)
    await assert.rejects(readAll(store, digest), closed)
  }))
