import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { digestToProto } from '../../src/wire/digests.ts'
import {
  actionCacheService,
  byteStreamService,
  capabilitiesService,
  contentAddressableStorageService,
} from '../../src/wire/methods.ts'
import {
  type CacheServer,
  putBlob,
  putDirectory,
  startCacheServer,
} from '../fixtures/cache-services.ts'

const cas = contentAddressableStorageService.methods
const { Read, Write, QueryWriteStatus } = byteStreamService.methods
const { GetActionResult, UpdateActionResult } = actionCacheService.methods

const store = new MemoryBlobStore()
const blob = await putBlob(store, 'content')
const root = digestToProto(await putDirectory(store, { symlinks: [{ name: 's', target: 't' }] }))
const path = `blobs/${blob.hash}/${blob.sizeBytes}`
const actionDigest = digestToProto(blob)

type Call = (client: CacheServer['client'], instanceName: string) => Promise<unknown>

const prefixed = (instanceName: string, name: string) =>
  instanceName === '' ? name : `${instanceName}/${name}`
const read = (name: string) => ({ resourceName: name })

const calls: Readonly<Record<string, Call>> = {
  GetCapabilities: (client, instanceName) =>
    client.unary(capabilitiesService.methods.GetCapabilities, { instanceName }),
  FindMissingBlobs: (client, instanceName) => client.unary(cas.FindMissingBlobs, { instanceName }),
  BatchUpdateBlobs: (client, instanceName) => client.unary(cas.BatchUpdateBlobs, { instanceName }),
  BatchReadBlobs: (client, instanceName) => client.unary(cas.BatchReadBlobs, { instanceName }),
  GetTree: (client, instanceName) =>
    Array.fromAsync(client.serverStream(cas.GetTree, { instanceName, rootDigest: root })),
  UpdateActionResult: (client, instanceName) =>
    client.unary(UpdateActionResult, { instanceName, actionDigest, actionResult: {} }),
  GetActionResult: (client, instanceName) =>
    client.unary(GetActionResult, { instanceName, actionDigest }),
  Read: (client, name) => Array.fromAsync(client.serverStream(Read, read(prefixed(name, path)))),
  Write: (client, name) => client.clientStream(Write, [read(prefixed(name, `uploads/u/${path}`))]),
  QueryWriteStatus: (client, name) =>
    client.unary(QueryWriteStatus, read(prefixed(name, `uploads/u/${path}`))),
}

describe('instance names', () => {
  test('any is served where none are listed', async () => {
    await using server = await startCacheServer({ store })
    for (const call of Object.values(calls)) {
      for (const name of ['', 'main', 'a.example.com/b/c']) await call(server.client, name)
    }
  })

  test('only those listed are served, and an error names the other', async () => {
    await using server = await startCacheServer({ store, instanceNames: ['main', 'a/b'] })
    for (const [method, call] of Object.entries(calls)) {
      for (const name of ['main', 'a/b']) await call(server.client, name)
      for (const name of ['', 'a', 'other/main']) {
        const expected = { code: 'NOT_FOUND', message: new RegExp(`"${name}" is not served`) }
        await assert.rejects(call(server.client, name), expected, method)
      }
    }
  })
})
