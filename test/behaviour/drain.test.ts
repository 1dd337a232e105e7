import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { grpc } from '../../src/gen/reapi.js'
import { connect as connectClient } from '../../src/wire/grpc-client.ts'
import {
  byteStreamService,
  capabilitiesService,
  fetchService,
  healthService,
} from '../../src/wire/methods.ts'
import { sha256Digest } from '../clients/requests.ts'
import { generatedBody } from '../fixtures/http-behaviours.ts'
import { startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'

const { FetchBlob } = fetchService.methods
const { Read } = byteStreamService.methods
const { GetCapabilities } = capabilitiesService.methods
const { Watch } = healthService.methods
const { ServingStatus } = grpc.health.v1.HealthCheckResponse

const content = Buffer.from('a download that was under way')
/** More than sockets and streams hold, so that the server has to wait for its reader. */
const largeBytes = 64 * 1024 * 1024

async function readiness({ httpUrl }: LarderServer): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${httpUrl}/readyz`)
  return { status: response.status, body: await response.json() }
}

/** True if something listens there. */
async function accepts(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

describe('a server that is told to end', { timeout: 60_000 }, () => {
  test('lets what runs come to its end, takes nothing new, and ends well', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    using client = connectClient(larder.grpcUrl)
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const uri = origin.serve('/slow.bin', async (_request, response) => {
      response.writeHead(200, { 'content-length': content.byteLength }).flushHeaders()
      await released
      response.end(content)
    })
    const large = await client.unary(FetchBlob, {
      uris: [origin.serve('/large.bin', generatedBody(largeBytes))],
    })
    const resourceName = `blobs/${large.blobDigest?.hash}/${largeBytes}`

    const watch = client.serverStream(Watch, {})
    assert.equal((await watch.next()).value?.status, ServingStatus.SERVING)
    const download = client.unary(FetchBlob, { uris: [uri] })
    // Else its end would hide why the test failed.
    download.catch(() => {})
    await origin.requested('/slow.bin')
    const reading = client.serverStream(Read, { resourceName })
    let readBytes = (await reading.next()).value?.data?.byteLength ?? 0
    assert.ok(readBytes > 0)
    assert.equal((await readiness(larder)).status, 200)

    const stopped = larder.stop()
    assert.equal((await watch.next()).value?.status, ServingStatus.NOT_SERVING)
    assert.equal((await watch.next()).done, true, 'a watch does not hold up the end')
    assert.deepEqual(await readiness(larder), {
      status: 503,
      body: {
        ready: false,
        checks: {
          started: 'ok',
          draining: 'the server is going away',
          cas: 'ok',
          index: 'ok',
        },
      },
    })
    assert.equal((await fetch(`${larder.httpUrl}/livez`)).status, 200, 'it is not dead yet')
    while (await accepts(larder.grpcUrl));
    using late = connectClient(larder.grpcUrl)
    for (const from of [late, client]) {
      await assert.rejects(from.unary(GetCapabilities, {}), { code: 'UNAVAILABLE' })
    }

    release()
    assert.equal((await download).blobDigest?.hash, sha256Digest(content).hash)
    for await (const { data } of reading) readBytes += data?.byteLength ?? 0
    assert.equal(readBytes, largeBytes)
    assert.equal(await stopped, 0)
    assert.match(larder.log(), /"closed"/)
    assert.doesNotMatch(larder.log(), /"level":"(warn|error)"/)
  })

  test('ends at once if nothing runs, with a client connected', async () => {
    await using larder = await startLarder()
    using client = connectClient(larder.grpcUrl)
    await client.unary(GetCapabilities, {})
    assert.equal(await larder.stop(), 0)
  })

  test('tells callers of what does not end in time, and keeps what it has stored', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    using client = connectClient(larder.grpcUrl)
    const kept = await client.unary(FetchBlob, { uris: [origin.serve('/kept.bin', content)] })
    const uri = origin.serve('/never.bin', () => {})
    const download = client.unary(FetchBlob, { uris: [uri] })
    download.catch(() => {})
    await origin.requested('/never.bin')
    assert.equal(await larder.stop(), 0)
    await assert.rejects(download, { code: 'UNAVAILABLE', message: /shutting down/ })
    await origin.idle()

    await using again = await startLarder({ dataDir: larder.dataDir })
    using second = connectClient(again.grpcUrl)
    const held = await second.unary(FetchBlob, { uris: [`${origin.url}/kept.bin`] })
    assert.deepEqual(held.blobDigest, kept.blobDigest)
    assert.equal(origin.count('/kept.bin'), 1)
  })
})
