import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { build } from '../../src/gen/reapi.js'
import {
  actionCacheService,
  byteStreamService,
  capabilitiesService,
  contentAddressableStorageService,
  fetchService,
  pushService,
} from '../../src/wire/methods.ts'
import { generatedContent } from '../fixtures/generated-content.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { bazelMetadata, qualifiers, read, sha256Digest, sri } from './requests.ts'

const { FetchBlob, FetchDirectory } = fetchService.methods
const { PushDirectory } = pushService.methods
const { GetCapabilities } = capabilitiesService.methods
const { GetActionResult, UpdateActionResult } = actionCacheService.methods
const { Read, Write } = byteStreamService.methods
const cas = contentAddressableStorageService.methods
const { Directory } = build.bazel.remote.execution.v2

const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** What was seen on the wire, call by call, with the same fields present and absent. */
describe('recorded sessions', () => {
  let origin: HttpOrigin
  let larder: LarderServer
  let client: RpcClient

  before(async () => {
    origin = await startOrigin()
    larder = await startLarder()
    client = new RpcClient(larder.grpcUrl)
  })
  after(async () => {
    client?.[Symbol.dispose]()
    await larder?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('Bazel 4.2.3 builds a genrule with downloads', async () => {
    const instanceName = 'inst/one'
    const common = { 'x-a': 'hdr', 'x-cache': '1', authorization: 'Basic YWxpY2U6czNjcmV0' }
    const headers = { ...bazelMetadata, ...common }
    const downloaderHeaders = { ...headers, 'x-a': ['hdr', 'hdr'], 'x-dl': '2' }
    const large = Buffer.concat([...generatedContent(300_000)])
    const plain = origin.serve('/nosha.bin', 'no checksum\n')
    const mirror = `${origin.url}/b/x.bin`
    const url = origin.serve('/a/x.bin', large)
    const authHeaders = JSON.stringify({
      [url]: { Authorization: 'Basic Ym9iOmh1bnRlcjI=' },
      [mirror]: { Authorization: 'Bearer tok123' },
    }).replaceAll('=', '\\u003d')

    await client.unary(GetCapabilities, { instanceName }, headers)
    const unchecked = await client.unary(
      FetchBlob,
      {
        instanceName,
        uris: [plain],
        qualifiers: qualifiers({
          'bazel.auth_headers': `{"${plain}":{"Authorization":"Basic YWxpY2U6czNjcmV0"}}`,
        }),
      },
      downloaderHeaders,
    )
    assert.deepEqual({ ...unchecked.blobDigest }, sha256Digest(Buffer.from('no checksum\n')))
    for (const checksum of [
      { 'checksum.sri': sri(large, 'SHA512') },
      { 'checksum.sri': sri(large, 'SHA384'), 'bazel.canonical_id': 'cid-384' },
    ]) {
      const { blobDigest } = await client.unary(
        FetchBlob,
        {
          instanceName,
          uris: [url, mirror],
          qualifiers: qualifiers({ ...checksum, 'bazel.auth_headers': authHeaders }),
        },
        downloaderHeaders,
      )
      assert.deepEqual({ ...blobDigest }, sha256Digest(large))
    }
    assert.deepEqual(
      origin.requests.map(({ path, headers }) => [path, headers.authorization]),
      [
        ['/nosha.bin', 'Basic YWxpY2U6czNjcmV0'],
        ['/a/x.bin', 'Basic Ym9iOmh1bnRlcjI='],
        // What it is under another function is not known before it is fetched under that one.
        ['/a/x.bin', 'Basic Ym9iOmh1bnRlcjI='],
      ],
    )
    const { hash, sizeBytes } = sha256Digest(large)
    const resourceName = `${instanceName}/blobs/${hash}/${sizeBytes}`
    assert.ok((await read(client, resourceName)).equals(large))
    // After a broken stream it goes on where it was.
    const rest = await client.stream(Read, { resourceName, readOffset: 299_000 }, headers)
    assert.ok(Buffer.concat(rest.map(({ data }) => data)).equals(large.subarray(299_000)))
    await bazelWritesAction(client, instanceName, headers)
  })

  test('BuildStream 1.6.8 pushes an artifact and pulls it', async () => {
    await client.unary(GetCapabilities, {})
    assert.deepEqual((await client.unary(cas.BatchReadBlobs, {})).responses, [])
    await assert.rejects(client.unary(FetchDirectory, {}), { code: 'INVALID_ARGUMENT' })
    assert.deepEqual((await client.unary(cas.BatchUpdateBlobs, {})).responses, [])
    await assert.rejects(client.unary(PushDirectory, {}), { code: 'INVALID_ARGUMENT' })

    const uris = [
      'urn:fdc:buildstream.build:2020:v1:probeproj/hello/4b7e732e1d6fe5c22fc5c7b4a6ce8a29db378f22edf32d4349dea40a7abbe576',
    ]
    await assert.rejects(client.unary(FetchDirectory, { uris }), { code: 'NOT_FOUND' })

    const large = Buffer.concat([...generatedContent(2_500_000)])
    const small = Buffer.from('hi\n')
    const files = Directory.encode({
      files: [
        { name: 'a.txt', digest: sha256Digest(small) },
        { name: 'empty', digest: { hash: emptyHash } },
        { name: 'large.bin', digest: sha256Digest(large) },
      ],
    }).finish()
    const rootDirectory = Directory.encode({
      directories: [{ name: 'files', digest: sha256Digest(files) }],
    }).finish()
    const rootDirectoryDigest = sha256Digest(rootDirectory)
    const batch = [rootDirectory, files, small, Buffer.alloc(0)]
    const blobDigests = [...batch, large].map(sha256Digest)
    const { missingBlobDigests } = await client.unary(cas.FindMissingBlobs, { blobDigests })
    assert.equal(missingBlobDigests.length, 4, 'all but the empty blob')

    const name = `uploads/c125326b-f51c-4e1e-a516-214f67dbd3ec/blobs`
    const { hash, sizeBytes } = sha256Digest(large)
    const oneMiB = 1024 * 1024
    const written = await client.upload(Write, [
      { resourceName: `${name}/${hash}/${sizeBytes}`, data: large.subarray(0, oneMiB) },
      { writeOffset: oneMiB, data: large.subarray(oneMiB, 2 * oneMiB) },
      { writeOffset: 2 * oneMiB, data: large.subarray(2 * oneMiB), finishWrite: true },
    ])
    assert.equal(written.committedSize, sizeBytes)
    const { responses } = await client.unary(cas.BatchUpdateBlobs, {
      requests: [
        ...batch.slice(0, -1).map((data) => ({ digest: sha256Digest(data), data })),
        // Size and data of the empty blob are both absent on the wire.
        { digest: { hash: emptyHash } },
      ],
    })
    assert.deepEqual(
      responses.map(({ status }) => status?.code),
      [0, 0, 0, 0],
    )
    await client.unary(PushDirectory, { uris, rootDirectoryDigest })

    const pulled = await client.unary(FetchDirectory, { uris })
    assert.deepEqual({ ...pulled.rootDirectoryDigest }, rootDirectoryDigest)
    const root = await read(client, `blobs/${rootDirectoryDigest.hash}/${rootDirectory.byteLength}`)
    assert.ok(root.equals(rootDirectory))
    const level = await client.unary(cas.BatchReadBlobs, {
      digests: [sha256Digest(files), sha256Digest(small), { hash: emptyHash }],
    })
    assert.deepEqual(
      level.responses.map(({ data }) => data?.byteLength),
      [files.byteLength, small.byteLength, 0],
    )
    assert.ok((await read(client, `blobs/${hash}/${sizeBytes}`)).equals(large))
  })
})

/** The end of a Bazel session: an action that was not known is run, and its result is kept. */
async function bazelWritesAction(
  client: RpcClient,
  instanceName: string,
  headers: Readonly<Record<string, string | Buffer>>,
): Promise<void> {
  const actionDigest = {
    hash: '3d2c9c3fddb97aae00ca55f387172299f3f6934e29e7f50d99ccdd54634f86db',
    sizeBytes: 143,
  }
  const output = Buffer.from('MzAwMDAwCg==', 'base64')
  const digest = sha256Digest(output)
  assert.equal(digest.hash, '2d5c043a952d70ef9564858b25a01a30613abfb3d1562f67ef8d089646bbf786')
  await assert.rejects(client.unary(GetActionResult, { instanceName, actionDigest }, headers), {
    code: 'NOT_FOUND',
  })
  const blobDigests = [{ hash: emptyHash }, digest, actionDigest]
  const missing = await client.unary(cas.FindMissingBlobs, { instanceName, blobDigests }, headers)
  assert.deepEqual(
    missing.missingBlobDigests.map(({ hash }) => hash),
    [digest.hash, actionDigest.hash],
  )
  const uuid = '1577615d-2395-409e-bcf4-60bbc2516559'
  const resourceName = `${instanceName}/uploads/${uuid}/blobs/${digest.hash}/7`
  const written = await client.upload(
    Write,
    [{ resourceName, finishWrite: true, data: output }],
    headers,
  )
  assert.equal(written.committedSize, 7)
  const actionResult = {
    outputFiles: [{ path: 'bazel-out/k8-fastbuild/bin/o.txt', digest }],
    stdoutDigest: { hash: emptyHash },
    stderrDigest: { hash: emptyHash },
  }
  const request = { instanceName, actionDigest, actionResult }
  await client.unary(UpdateActionResult, request, headers)
  const held = await client.unary(GetActionResult, { instanceName, actionDigest }, headers)
  assert.deepEqual({ ...held.outputFiles[0]?.digest }, digest)
}
