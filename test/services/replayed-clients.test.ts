import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { build } from '../../src/gen/reapi.js'
import {
  actionCacheService,
  byteStreamService,
  capabilitiesService,
  contentAddressableStorageService,
} from '../../src/wire/methods.ts'
import { putBlob, putDirectory, startCacheServer, storeKinds } from '../fixtures/cache-services.ts'

const { Read, Write, QueryWriteStatus } = byteStreamService.methods
const { FindMissingBlobs, BatchReadBlobs, BatchUpdateBlobs } =
  contentAddressableStorageService.methods
const { GetActionResult, UpdateActionResult } = actionCacheService.methods
const { BatchReadBlobsResponse, BatchUpdateBlobsResponse } = build.bazel.remote.execution.v2

const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

for (const [kind, open] of Object.entries(storeKinds)) {
  const opened = await open({ blobSizeBytesMax: 32 * 1024 ** 2 })
  const { store } = opened
  const server = await startCacheServer(opened)
  const { client } = server
  after(async () => {
    await server[Symbol.asyncDispose]()
    await opened[Symbol.asyncDispose]()
  })

  describe(`requests as they were captured, over ${kind}`, () => {
    test('Bazel 4.2.3 builds a genrule, uploads it and finds it again', async () => {
      const instanceName = 'inst/one'
      const actionDigest = {
        hash: '3d2c9c3fddb97aae00ca55f387172299f3f6934e29e7f50d99ccdd54634f86db',
        sizeBytes: 143,
      }
      const output = {
        hash: '2d5c043a952d70ef9564858b25a01a30613abfb3d1562f67ef8d089646bbf786',
        sizeBytes: 7,
      }
      const request = { instanceName, actionDigest }
      await assert.rejects(client.unary(GetActionResult, request), { code: 'NOT_FOUND' })
      const { missingBlobDigests } = await client.unary(FindMissingBlobs, {
        instanceName,
        blobDigests: [
          { hash: emptyHash },
          output,
          {
            hash: 'b28eca47ee72a27549c42661e1528f7cef54cc57d86075788c0a54918c5bf5df',
            sizeBytes: 374,
          },
          actionDigest,
        ],
      })
      assert.deepEqual(
        missingBlobDigests.map((digest) => digest.sizeBytes),
        [7, 374, 143],
      )
      const resourceName = `inst/one/uploads/1577615d-2395-409e-bcf4-60bbc2516559/blobs/${output.hash}/7`
      const data = Buffer.from('MzAwMDAwCg==', 'base64')
      const query = () => client.unary(QueryWriteStatus, { resourceName })
      assert.equal((await query()).complete, false)
      const written = await client.clientStream(Write, [{ resourceName, finishWrite: true, data }])
      assert.equal(written.committedSize, 7)
      assert.equal((await query()).complete, true)
      const actionResult = {
        outputFiles: [{ path: 'bazel-out/k8-fastbuild/bin/o.txt', digest: output }],
        stdoutDigest: { hash: emptyHash },
        stderrDigest: { hash: emptyHash },
      }
      await client.unary(UpdateActionResult, { ...request, actionResult })
      const found = await client.unary(GetActionResult, request)
      assert.equal(found.outputFiles[0]?.digest?.hash, output.hash)
      const name = `inst/one/blobs/${output.hash}/7`
      const chunks = client.serverStream(Read, { resourceName: name, readOffset: 2 })
      assert.equal(
        Buffer.concat((await Array.fromAsync(chunks)).map((chunk) => chunk.data)).toString(),
        '0000\n',
      )
    })

    test('BuildStream 1.6.8 probes, pushes and pulls', async () => {
      await client.unary(capabilitiesService.methods.GetCapabilities, {})
      assert.equal((await client.unary(BatchReadBlobs, {})).responses.length, 0)
      assert.equal((await client.unary(BatchUpdateBlobs, {})).responses.length, 0)

      const hi = {
        hash: '98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4',
        sizeBytes: 3,
      }
      const { missingBlobDigests } = await client.unary(FindMissingBlobs, {
        blobDigests: [hi, { hash: emptyHash }],
      })
      assert.equal(missingBlobDigests.length, 1)
      // The empty blob is uploaded with neither size nor data on the wire.
      const pushed = await client.unary(BatchUpdateBlobs, {
        requests: [
          { digest: hi, data: Buffer.from('aGkK', 'base64') },
          { digest: { hash: emptyHash } },
        ],
      })
      assert.deepEqual(
        pushed.responses.map((response) => response.status?.code),
        [0, 0],
      )
      const pulled = await client.unary(BatchReadBlobs, { digests: [{ hash: emptyHash }, hi] })
      assert.deepEqual(
        pulled.responses.map((response) => Buffer.from(response.data ?? []).toString()),
        ['', 'hi\n'],
      )
    })

    test('BuildStream 1.6.8 reads a root Directory, then its level in a batch', async () => {
      const file = await putBlob(store, 'hi\n')
      const files = [{ name: 'a.txt', digest: { hash: file.hash, sizeBytes: 3 } }]
      const child = await putDirectory(store, { files })
      const root = await putDirectory(store, {
        directories: [{ name: 'files', digest: { hash: child.hash, sizeBytes: child.sizeBytes } }],
      })
      const resourceName = `blobs/${root.hash}/${root.sizeBytes}`
      const chunks = await Array.fromAsync(client.serverStream(Read, { resourceName }))
      assert.equal(chunks.length, 1)
      const digests = [{ hash: child.hash, sizeBytes: child.sizeBytes }]
      const { responses } = await client.unary(BatchReadBlobs, { digests })
      assert.equal(responses[0]?.data?.byteLength, child.sizeBytes)
    })

    test('a status that is OK is on the wire as an empty message', async () => {
      const digest = { hash: emptyHash }
      const read = await client.unary(BatchReadBlobs, { digests: [digest] })
      const updated = await client.unary(BatchUpdateBlobs, { requests: [{ digest }] })
      // Decoding makes an absent message null, so encoding shows what came.
      const digestBytes = Buffer.concat([Buffer.from([0x0a, 66, 0x0a, 64]), Buffer.from(emptyHash)])
      const answerOf = (statusTag: number) =>
        Buffer.concat([Buffer.from([0x0a, 70]), digestBytes, Buffer.from([statusTag, 0])])
      assert.deepEqual(
        Buffer.from(BatchReadBlobsResponse.encode(read).finish()),
        answerOf((3 << 3) | 2),
      )
      assert.deepEqual(
        Buffer.from(BatchUpdateBlobsResponse.encode(updated).finish()),
        answerOf((2 << 3) | 2),
      )
    })
  })
}
