import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest } from '../../src/asset/digest.ts'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { TreePresence } from '../../src/resolve/tree-presence.ts'
import { storeBlob, storeTree } from '../fixtures/resolver-house.ts'

/** A store that counts the walks, each of which reads the root. */
class WalkedStore extends MemoryBlobStore {
  walks = 0
  canTell = true

  override evictionCounter(): number {
    return this.canTell ? super.evictionCounter() : (undefined as unknown as number)
  }

  override async readBatch(digests: readonly Digest[]) {
    this.walks += 1
    return super.readBatch(digests)
  }
}

describe('whether a tree is whole', () => {
  let store: WalkedStore
  let nowMs: number
  let trees: TreePresence
  let root: Digest
  beforeEach(async () => {
    nowMs = 0
    store = new WalkedStore()
    trees = new TreePresence({ store, clock: () => nowMs })
    root = await storeTree(store, { a: 'file a' })
  })

  test('is walked once while nothing is evicted', async () => {
    for (let request = 0; request < 5; request += 1) {
      assert.equal(await trees.isComplete(root), true)
    }
    assert.equal(store.walks, 1)
  })

  test('is walked anew after any eviction', async () => {
    await trees.isComplete(root)
    store.evict(await storeBlob(store, 'of another tree'))
    assert.equal(await trees.isComplete(root), true)
    assert.equal(store.walks, 2)
    store.evict(await storeBlob(store, 'file a'))
    assert.equal(await trees.isComplete(root), false)
    assert.equal(await trees.isComplete(root), false)
    assert.equal(store.walks, 4)
  })

  test('is walked once by all who ask at once', async () => {
    const all = Array.from({ length: 100 }, () => trees.isComplete(root))
    assert.ok((await Promise.all(all)).every((isComplete) => isComplete))
    assert.equal(store.walks, 1)
    store.evict(await storeBlob(store, 'file a'))
    const again = Array.from({ length: 100 }, () => trees.isComplete(root))
    assert.ok((await Promise.all(again)).every((isComplete) => !isComplete))
    assert.equal(store.walks, 2)
  })

  test('is walked every time if the store cannot tell of evictions', async () => {
    store.canTell = false
    await trees.isComplete(root)
    await trees.isComplete(root)
    trees.remember(root, store.evictionCounter())
    await trees.isComplete(root)
    assert.equal(store.walks, 3)
  })

  test('is known from an import, unless something was evicted during it', async () => {
    trees.remember(root, store.evictionCounter())
    assert.equal(await trees.isComplete(root), true)
    assert.equal(store.walks, 0)
    const before = store.evictionCounter()
    store.evict(await storeBlob(store, 'file a'))
    trees.remember(root, before)
    assert.equal(await trees.isComplete(root), false)
  })

  test('is walked now and then to extend its life, and found damaged by it', async () => {
    await trees.isComplete(root)
    const findMissing = store.findMissing.bind(store)
    // As a store that has found held bytes damaged and dropped them, without evicting anything.
    store.findMissing = async (digests) => [...digests]
    nowMs += 3_600_000
    assert.equal(await trees.isComplete(root), true)
    while (store.walks < 2) await nextTurn()
    await nextTurn()
    assert.equal(await trees.isComplete(root), false)
    store.findMissing = findMissing
    assert.equal(await trees.isComplete(root), true)
  })

  test('fails as the store fails', async () => {
    store.readBatch = () => Promise.reject(new Error('disk'))
    await assert.rejects(trees.isComplete(root), /disk/)
  })
})
