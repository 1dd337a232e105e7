import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hashBytes } from '../../src/util/hasher.ts'
import {
  actionCacheService,
  capabilitiesService,
  contentAddressableStorageService,
  fetchService,
  healthService,
} from '../../src/wire/methods.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { functions, qualifiers, sha256Digest, sri, upload } from './requests.ts'

const { FetchBlob } = fetchService.methods
const { GetCapabilities } = capabilitiesService.methods
const { UpdateActionResult, GetActionResult } = actionCacheService.methods
const cas = contentAddressableStorageService.methods
const { Check } = healthService.methods

/** Version of the API as one number, for comparing. */
function version(semver: { major?: number | null; minor?: number | null } | null | undefined) {
  return (semver?.major ?? 0) * 1000 + (semver?.minor ?? 0)
}

describe('other clients', () => {
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

  test('Please: any one of several checksums may be the right one', async () => {
    const content = Buffer.from('a remote_file\n')
    const bare = Buffer.from('hash of unknown length').toString('base64')
    const wrong = sri(Buffer.from('something else'))
    const url = origin.serve('/please.bin', content)
    const response = await client.unary(FetchBlob, {
      instanceName: 'main',
      timeout: { seconds: 600 },
      uris: [url],
      qualifiers: qualifiers({ 'checksum.sri': `${wrong} ${sri(content, 'SHA1')} ${bare}` }),
    })
    assert.equal(response.digestFunction, functions.SHA256, 'where none is asked for')
    assert.deepEqual({ ...response.blobDigest }, sha256Digest(content))

    // It reads the file by an action result that it writes itself, without ever uploading the action.
    const actionDigest = sha256Digest(Buffer.from('an action'))
    const outputFiles = [{ path: 'please.bin', digest: response.blobDigest ?? null }]
    const actionResult = { outputFiles }
    const key = { instanceName: 'main', actionDigest }
    await client.unary(UpdateActionResult, { ...key, actionResult })
    const held = await client.unary(GetActionResult, key)
    assert.deepEqual({ ...held.outputFiles[0]?.digest }, sha256Digest(content))
  })

  test('Please: content that matches none of the checksums is refused', async () => {
    const url = origin.serve('/please-wrong.bin', 'not what was asked for\n')
    const wrong = [sri(Buffer.from('one')), sri(Buffer.from('two'), 'SHA1')].join(' ')
    await assert.rejects(
      client.unary(FetchBlob, { uris: [url], qualifiers: qualifiers({ 'checksum.sri': wrong }) }),
      { code: 'FAILED_PRECONDITION' },
    )
  })

  test('capabilities are such that every client goes on', async () => {
    const answer = await client.unary(GetCapabilities, { instanceName: 'inst/one' })
    const cache = answer.cacheCapabilities
    assert.ok(cache)
    // Bazel 4 to 6 speak 2.0 alone, later ones up to 2.2 and 2.11.
    assert.equal(version(answer.lowApiVersion), 2000)
    assert.ok(version(answer.highApiVersion) >= 2002)
    assert.ok(cache.digestFunctions?.includes(functions.SHA256))
    assert.equal(cache.actionCacheUpdateCapabilities?.updateEnabled, true)
    // siso takes the first; for it IDENTITY there means that nothing is ever compressed.
    assert.deepEqual(cache.supportedCompressors, [1])
    assert.ok((cache.maxBatchTotalSizeBytes ?? 0) > 1024 * 1024)
    assert.ok((cache.maxBatchTotalSizeBytes ?? 0) < 4 * 1024 * 1024)
    // The Go SDK compares what is in it as soon as it is there.
    assert.ok(!answer.executionCapabilities)
  })

  test('BuildStream 1: empty batches are answered, and the empty blob is there', async () => {
    const empty = sha256Digest(Buffer.alloc(0))
    assert.deepEqual((await client.unary(cas.BatchReadBlobs, {})).responses, [])
    assert.deepEqual((await client.unary(cas.BatchUpdateBlobs, {})).responses, [])
    const { missingBlobDigests } = await client.unary(cas.FindMissingBlobs, {
      blobDigests: [{ hash: empty.hash }],
    })
    assert.deepEqual(missingBlobDigests, [])
    const { responses } = await client.unary(cas.BatchReadBlobs, {
      digests: [{ hash: empty.hash }],
    })
    assert.equal(responses.length, 1)
    assert.equal(responses[0]?.data?.byteLength, 0)
    assert.equal(responses[0]?.status?.code, 0)
  })

  test('Pants and Buck2: every part of a batch has its digest and its status, OK too', async () => {
    const [held] = await upload(client, [Buffer.from('held')])
    const absent = sha256Digest(Buffer.from('absent'))
    assert.ok(held)
    const { responses } = await client.unary(cas.BatchReadBlobs, { digests: [held, absent] })
    assert.deepEqual(
      responses.map(({ digest, status }) => [digest?.hash, status?.code]),
      [
        [held.hash, 0],
        [absent.hash, 5],
      ],
    )
  })

  test('Buck2: a batch of the advertised size is received', async () => {
    const { cacheCapabilities } = await client.unary(GetCapabilities, {})
    const sizeBytes = cacheCapabilities?.maxBatchTotalSizeBytes ?? 0
    const [digest] = await upload(client, [Buffer.alloc(sizeBytes, 'b')])
    const missing = await client.unary(cas.FindMissingBlobs, { blobDigests: [digest ?? {}] })
    assert.deepEqual(missing.missingBlobDigests, [])
  })

  test('bb_clientd: an instance name may have several segments', async () => {
    const content = Buffer.from('for any instance\n')
    const url = origin.serve('/instance.bin', content)
    const instanceName = 'mycluster-prod.example.com/hello'
    const { blobDigest } = await client.unary(FetchBlob, { instanceName, uris: [url] })
    assert.equal(blobDigest?.hash, hashBytes('SHA256', content))
  })

  for (const service of [
    '',
    'build.bazel.remote.asset.v1.Fetch',
    'build.bazel.remote.asset.v1.Push',
    // What the example of bazel-remote asks for.
    '/grpc.health.v1.Health/Check',
  ]) {
    test(`a health probe of ${JSON.stringify(service)} is answered`, async () => {
      const { status } = await client.unary(Check, { service })
      assert.equal(status, 1)
    })
  }

  test('a health probe of a service that is not there says so', async () => {
    await assert.rejects(client.unary(Check, { service: 'no.such.Service' }), {
      code: 'NOT_FOUND',
    })
  })

  test('Bazel with one endpoint for both sends its headers twice', async () => {
    const content = Buffer.from('twice\n')
    const url = origin.serve('/twice.bin', content)
    const headers = { 'x-a': ['hdr', 'hdr'], authorization: 'Basic YWxpY2U6czNjcmV0' }
    const { blobDigest } = await client.unary(FetchBlob, { uris: [url] }, headers)
    assert.equal(blobDigest?.hash, hashBytes('SHA256', content))
    // What a client proves itself to us with is not for the origin.
    assert.equal(origin.requests.at(-1)?.headers.authorization, undefined)
  })
})
