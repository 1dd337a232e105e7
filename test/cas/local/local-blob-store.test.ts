import assert from 'node:assert/strict'
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import type { LocalStoreOptions } from '../../../src/cas/local/local-store-options.ts'
import { nameBlob } from '../../../src/cas/verified-blob.ts'
import { blobStoreContract, digestFor } from '../../contract/blob-store-contract.ts'

function localContract(name: string, options: LocalStoreOptions): void {
  blobStoreContract(`LocalBlobStore, ${name}`, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'larder-cas-'))
    let store = await LocalBlobStore.open(directory, options)
    return {
      store,
      reopen: async () => {
        await store[Symbol.asyncDispose]()
        store = await LocalBlobStore.open(directory, options)
        return store
      },
      leftovers: () => readdir(join(directory, 'tmp')),
      dispose: async () => {
        await store[Symbol.asyncDispose]()
        await rm(directory, { recursive: true })
      },
    }
  })
}

localContract('defaults', {})
localContract('all in files', { inlineSizeBytesMax: 0 })
localContract('most in the database', { inlineSizeBytesMax: 1024 * 1024, sizeBytesMax: 2 ** 40 })
localContract('strict', { durability: 'strict' })

test('content is read once for all who ask for another name of it', {
  skip: process.platform === 'linux' ? false : 'open files are listed in /proc',
}, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-cas-'))
  const store = await LocalBlobStore.open(directory)
  t.after(async () => {
    await store[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })
  const data = Buffer.alloc(32 * 1024 * 1024, 'larder')
  const [sha256, sha1] = [digestFor(data), digestFor(data, 'SHA1')]
  await store.putBatch([nameBlob(data)])
  let isDone = false
  const all = Promise.all(Array.from({ length: 20 }, () => store.translate(sha256, 'SHA1')))
  const done = all.finally(() => {
    isDone = true
  })
  let readersMax = 0
  while (!isDone) readersMax = Math.max(readersMax, await openFilesNamed(sha256.hash))
  for (const name of await done) assert.deepEqual(name, sha1)
  assert.equal(readersMax, 1)
})

async function openFilesNamed(name: string): Promise<number> {
  const numbers = await readdir('/proc/self/fd')
  const paths = numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => ''))
  return (await Promise.all(paths)).filter((path) => path.endsWith(name)).length
}
