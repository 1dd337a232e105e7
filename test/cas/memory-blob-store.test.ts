import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { nameBlob } from '../../src/cas/verified-blob.ts'
import { blobStoreContract, digestFor, hasCode } from '../contract/blob-store-contract.ts'

blobStoreContract('MemoryBlobStore', async () => {
  const store = new MemoryBlobStore()
  return { store, dispose: () => store[Symbol.asyncDispose]() }
})

test('a full memory store refuses more with RESOURCE_EXHAUSTED', async () => {
  await using store = new MemoryBlobStore({ sizeBytesMax: 10 })
  await store.putBatch([nameBlob(Buffer.from('12345678'))])
  await assert.rejects(
    store.putBatch([nameBlob(Buffer.from('abc'))]),
    hasCode('RESOURCE_EXHAUSTED'),
  )
  await store.putBatch([nameBlob(Buffer.from('ab'))])
})

test('evicted content is gone under all names and raises the counter', async () => {
  await using store = new MemoryBlobStore()
  const data = Buffer.from('evict me')
  await store.putBatch([nameBlob(Buffer.from(data), 'SHA1')])
  const before = store.evictionCounter()
  assert.equal(store.evict(digestFor(data)), true)
  assert.equal(store.evict(digestFor(data)), false)
  assert.ok(store.evictionCounter() > before)
  const sha1 = digestFor(data, 'SHA1')
  assert.deepEqual(await store.findMissing([sha1]), [sha1])
})
