import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { build } from '../../src/gen/reapi.js'
import { byteStreamService, fetchService, pushService } from '../../src/wire/methods.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { sha256Digest, upload } from './requests.ts'

const { FetchBlob, FetchDirectory } = fetchService.methods
const { PushBlob, PushDirectory } = pushService.methods
const { Write } = byteStreamService.methods
const { Directory } = build.bazel.remote.execution.v2

const artifact = 'urn:fdc:buildstream.build:2020:artifact:project/element.bst'
const source = 'urn:fdc:buildstream.build:2020:source'

/** Requests of BuildStream 2, which come through buildbox-casd. */
describe('BuildStream 2', () => {
  let larder: LarderServer
  let client: RpcClient

  before(async () => {
    larder = await startLarder()
    client = new RpcClient(larder.grpcUrl)
  })
  after(async () => {
    client?.[Symbol.dispose]()
    await larder?.[Symbol.asyncDispose]()
  })

  test('finds both services by requests without a URI', async () => {
    await assert.rejects(client.unary(FetchBlob, {}), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(client.unary(PushBlob, {}), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(client.unary(FetchDirectory, {}), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(client.unary(PushDirectory, {}), { code: 'INVALID_ARGUMENT' })
  })

  test('takes an unknown name for "not cached" only if the code is NOT_FOUND', async () => {
    const uris = [`${artifact}/${'0'.repeat(64)}`]
    await assert.rejects(client.unary(FetchBlob, { uris }), { code: 'NOT_FOUND' })
    await assert.rejects(client.unary(FetchDirectory, { uris }), { code: 'NOT_FOUND' })
  })

  test('pushes an artifact under two keys and finds it under each', async () => {
    const [strong, weak] = [`${artifact}/${'1'.repeat(64)}`, `${artifact}/${'2'.repeat(64)}`]
    const [blobDigest, log, files] = await upload(client, [
      Buffer.from('the artifact proto'),
      Buffer.from('a log'),
      Directory.encode({ files: [] }).finish(),
    ])
    assert.ok(blobDigest && log && files)
    await client.unary(PushBlob, {
      uris: [strong, weak],
      blobDigest,
      referencesBlobs: [log],
      referencesDirectories: [files],
    })
    for (const [uris, answered] of [
      [[strong], strong],
      [[weak], weak],
      [[strong, weak], strong],
      [[`${artifact}/unknown`, weak], weak],
    ] as const) {
      const response = await client.unary(FetchBlob, { uris: [...uris] })
      assert.deepEqual({ ...response.blobDigest }, blobDigest)
      assert.equal(response.uri, answered)
    }
  })

  test('pushes again where the weak key means other content', async () => {
    const [first, second] = [`${artifact}/${'3'.repeat(64)}`, `${artifact}/${'4'.repeat(64)}`]
    const weak = `${artifact}/${'5'.repeat(64)}`
    const [older, newer] = await upload(client, [Buffer.from('older'), Buffer.from('newer')])
    assert.ok(older && newer)
    await client.unary(PushBlob, { uris: [first, weak], blobDigest: older })
    await client.unary(PushBlob, { uris: [second, weak], blobDigest: newer })
    const digestOf = async (uri: string) => ({
      ...(await client.unary(FetchBlob, { uris: [uri] })).blobDigest,
    })
    assert.deepEqual(await digestOf(first), older)
    assert.deepEqual(await digestOf(second), newer)
    assert.deepEqual(await digestOf(weak), newer)
  })

  test('uses one source name for a blob and for a directory', async () => {
    const uris = [`${source}:git/${'6'.repeat(64)}`]
    const directory = Directory.encode({
      files: [{ name: 'a', digest: sha256Digest(Buffer.from('a')) }],
    }).finish()
    const [blobDigest, rootDirectoryDigest] = await upload(client, [
      Buffer.from('the source proto'),
      directory,
      Buffer.from('a'),
    ])
    assert.ok(blobDigest && rootDirectoryDigest)
    await client.unary(PushBlob, {
      uris,
      blobDigest,
      referencesDirectories: [rootDirectoryDigest],
    })
    await assert.rejects(client.unary(FetchDirectory, { uris }), { code: 'NOT_FOUND' })
    await client.unary(PushDirectory, { uris, rootDirectoryDigest })
    const blob = await client.unary(FetchBlob, { uris })
    const tree = await client.unary(FetchDirectory, { uris })
    assert.deepEqual({ ...blob.blobDigest }, blobDigest)
    assert.deepEqual({ ...tree.rootDirectoryDigest }, rootDirectoryDigest)
  })

  test('may not name by a push what this server does not hold', async () => {
    const uris = [`${artifact}/${'7'.repeat(64)}`]
    const blobDigest = sha256Digest(Buffer.from('kept elsewhere'))
    await assert.rejects(client.unary(PushBlob, { uris, blobDigest }), {
      code: 'FAILED_PRECONDITION',
    })
    await assert.rejects(client.unary(FetchBlob, { uris }), { code: 'NOT_FOUND' })
  })

  test('may, where the server is only an index', async () => {
    await using index = await startLarder({ config: 'push: { requireBlobs: false }\n' })
    using indexClient = new RpcClient(index.grpcUrl)
    const uris = [`${artifact}/${'8'.repeat(64)}`]
    const blobDigest = sha256Digest(Buffer.from('kept elsewhere'))
    await indexClient.unary(PushBlob, { uris, blobDigest })
    const { blobDigest: found } = await indexClient.unary(FetchBlob, { uris })
    assert.deepEqual({ ...found }, blobDigest)
  })

  test('takes an artifact whose content is gone for "not cached"', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'larder-data-'))
    const uris = [`${artifact}/${'9'.repeat(64)}`]
    try {
      {
        await using full = await startLarder({ dataDir })
        using fullClient = new RpcClient(full.grpcUrl)
        const [blobDigest] = await upload(fullClient, [Buffer.from('soon gone')])
        await fullClient.unary(PushBlob, { uris, blobDigest: blobDigest ?? null })
        await fullClient.unary(FetchBlob, { uris })
      }
      // The operator lost the volume of the CAS, but not the index.
      await rm(join(dataDir, 'cas'), { recursive: true })
      await using emptied = await startLarder({ dataDir })
      using emptiedClient = new RpcClient(emptied.grpcUrl)
      await assert.rejects(emptiedClient.unary(FetchBlob, { uris }), { code: 'NOT_FOUND' })
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  test('casd writes all blobs under one uuid at once, the name in every message', async () => {
    const uuid = 'c125326b-f51c-4e1e-a516-214f67dbd3ec'
    const contents = [0, 1, 1000, 300_000].map((sizeBytes) => randomBytes(sizeBytes))
    const committed = await Promise.all(
      contents.map(async (content) => {
        const { hash, sizeBytes } = sha256Digest(content)
        const resourceName = `uploads/${uuid}/blobs/${hash}/${sizeBytes}`
        const half = content.subarray(0, sizeBytes >> 1)
        const messages = [
          { resourceName, data: half },
          {
            resourceName,
            writeOffset: half.byteLength,
            data: content.subarray(half.byteLength),
            finishWrite: true,
          },
        ]
        // The empty blob is one message without data.
        const sent = sizeBytes === 0 ? [{ resourceName, finishWrite: true }] : messages
        return (await client.upload(Write, sent)).committedSize
      }),
    )
    assert.deepEqual(committed, [0, 1, 1000, 300_000])
  })
})
