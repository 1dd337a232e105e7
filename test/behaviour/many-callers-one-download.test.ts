import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fetchService } from '../../src/wire/methods.ts'
import { sha256Digest } from '../clients/requests.ts'
import { answerBody } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { metric, metricReaches } from '../fixtures/server-metrics.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const callers = 1000
const connections = 5
/** Enough for a call to reach the origin; the caller is gone long before the origin answers. */
const patienceMs = 1000

const { FetchBlob, FetchDirectory } = fetchService.methods
const lookups = 'larder_index_lookups_total'

const content = Buffer.from('what all of them want\n'.repeat(10_000))
const archive = gzipSync(
  tarBytes([
    { path: 'top/', type: 'Directory' },
    { path: 'top/a.txt', content: 'a' },
    { path: 'top/b.txt', content: 'b'.repeat(100_000) },
  ]),
)

/** Both kinds of fetch, in the one form that these tests need. */
const kinds = [
  {
    name: 'FetchBlob',
    path: '/held-back.bin',
    content,
    lookupsEach: 0,
    fetch: async (client: RpcClient, uri: string, options = {}) =>
      (await client.unary(FetchBlob, { uris: [uri] }, {}, options)).blobDigest,
  },
  {
    name: 'FetchDirectory of an archive',
    path: '/held-back.tar.gz',
    content: archive,
    // The archive is an asset of its own, and is looked up by the one who fetches.
    lookupsEach: 1,
    fetch: async (client: RpcClient, uri: string, options = {}) =>
      (await client.unary(FetchDirectory, { uris: [uri] }, {}, options)).rootDirectoryDigest,
  },
]

/** An origin that sends the head of its answer, and the body only when the test says so. */
function heldBack(origin: HttpOrigin, path: string, bytes: Uint8Array) {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const uri = origin.serve(path, async (_request, response) => {
    response.writeHead(200, { 'content-length': bytes.byteLength }).flushHeaders()
    await released
    response.end(bytes)
  })
  return { uri, release }
}

/** Missed look-ups: each is a caller who has got to the point of joining the fetch or starting it. */
function missed(larder: LarderServer, times: number): Promise<void> {
  return metricReaches(larder, lookups, { result: 'miss' }, times)
}

for (const { name, path, content, lookupsEach, fetch } of kinds) {
  describe(name, { timeout: 60_000 }, () => {
    test(`${callers} callers at once are one request to the origin`, async () => {
      await using origin = await startOrigin()
      await using larder = await startLarder()
      const { uri, release } = heldBack(origin, path, content)
      using stack = new DisposableStack()
      const clients = Array.from({ length: connections }, () =>
        stack.use(new RpcClient(larder.grpcUrl)),
      )
      const calls = Array.from({ length: callers }, (_, index) =>
        fetch(clients[index % connections] as RpcClient, uri),
      )
      await missed(larder, callers + lookupsEach)
      assert.equal(await metric(larder, lookups, { result: 'hit' }), 0, 'nobody was served yet')
      release()
      const digests = await Promise.all(calls)
      assert.deepEqual(new Set(digests.map((digest) => digest?.hash)).size, 1)
      assert.equal(origin.requests.length, 1)
      if (name === 'FetchBlob') assert.equal(digests[0]?.hash, sha256Digest(content).hash)
    })

    test('a caller who gives up does not end the download, and who asks again joins it', async () => {
      await using origin = await startOrigin()
      await using larder = await startLarder()
      using client = new RpcClient(larder.grpcUrl)
      const { uri, release } = heldBack(origin, path, content)
      const patient = fetch(client, uri)
      await missed(larder, 1 + lookupsEach)
      const deadline = Date.now() + patienceMs
      await assert.rejects(fetch(client, uri, { deadline }), { code: 'DEADLINE_EXCEEDED' })
      const again = fetch(client, uri)
      await missed(larder, 3 + lookupsEach)
      release()
      assert.deepEqual(await again, await patient)
      assert.equal(origin.requests.length, 1)
    })

    test('all callers leave, the download ends, and the next call finds it', async () => {
      await using origin = await startOrigin()
      await using larder = await startLarder()
      using client = new RpcClient(larder.grpcUrl)
      const { uri, release } = heldBack(origin, path, content)
      const deadline = Date.now() + patienceMs
      const impatient = Array.from({ length: 10 }, () => fetch(client, uri, { deadline }))
      await Promise.all(
        impatient.map((call) => assert.rejects(call, { code: 'DEADLINE_EXCEEDED' })),
      )
      assert.equal(origin.requests.length, 1)
      release()
      await metricReaches(larder, 'larder_assets', {}, 1 + lookupsEach)
      // From here on the origin would say something else.
      origin.serve(path, answerBody('another content'))
      const digest = await fetch(client, uri)
      assert.equal(origin.requests.length, 1)
      assert.equal(await metric(larder, lookups, { result: 'hit' }), 1)
      if (name === 'FetchBlob') assert.equal(digest?.hash, sha256Digest(content).hash)
    })
  })
}
