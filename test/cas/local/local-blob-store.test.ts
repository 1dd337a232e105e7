import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import type { LocalStoreOptions } from '../../../src/cas/local/local-store-options.ts'
import { blobStoreContract } from '../../contract/blob-store-contract.ts'

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
