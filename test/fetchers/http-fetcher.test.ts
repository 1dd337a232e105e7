import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { createHttpFetcher } from '../../src/fetchers/http-fetcher.ts'
import { failure, fetcherContract } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { generatedSha256 } from '../fixtures/generated-content.ts'
import {
  answerStatus,
  generatedBody,
  infiniteBody,
  stallAfter,
  stallBeforeHeaders,
} from '../fixtures/http-behaviours.ts'
import { startOrigin } from '../fixtures/http-origin.ts'
import { fetchBody, fetchText, never, openHttp, readBody } from './http-setup.ts'

fetcherContract('http', async () => {
  const origin = await startOrigin()
  const fetcher = createHttpFetcher({ userAgent: 'larder/test' })
  const headers = { authorization: 'Bearer s3cret-header' }
  origin.serve('/missing', answerStatus(404, { connection: 'close' }))
  const missing = `http://user:s3cret-password@127.0.0.1:${origin.port}/missing?sig=s3cret-query`
  const stalled = `${origin.serve('/stalled', stallBeforeHeaders())}?sig=s3cret-query`
  return {
    fetcher,
    present: fetchRequest(origin.serve('/present.bin', generatedBody(32 * 1024 ** 2))),
    missing: fetchRequest(missing, { headers }),
    missingShown: `${origin.url}/missing?…`,
    secrets: ['s3cret'],
    stalled: fetchRequest(stalled, { headers }),
    stalledReached: () => origin.requested('/stalled'),
    idle: () => origin.idle(),
    async [Symbol.asyncDispose]() {
      await fetcher[Symbol.asyncDispose]()
      await origin.stop()
    },
  }
})

describe('http fetcher', () => {
  test('yields the bytes, their size, the validators and where they came from', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const headers = { etag: '"1"', 'last-modified': 'Tue, 01 Sep 2026 10:00:00 GMT' }
    const url = origin.serve('/file', 'content', { headers })
    await using fetched = await fetchBody(fetcher, fetchRequest(`${url}?key=1#part`))
    assert.equal(fetched.sizeBytes, 7)
    assert.equal(fetched.finalUri, `${url}?…`)
    assert.deepEqual(fetched.validators, {
      etag: headers.etag,
      lastModified: headers['last-modified'],
    })
    assert.equal((await readBody(fetched)).toString(), 'content')
    assert.equal(origin.requests[0]?.search, '?key=1')
  })

  test('streams a large body unchanged', async () => {
    await using setup = await openHttp()
    const sizeBytes = 64 * 1024 ** 2 + 7
    const url = setup.origin.serve('/large', generatedBody(sizeBytes))
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    const hash = createHash('sha256')
    for await (const chunk of fetched.body) hash.update(chunk)
    assert.equal(hash.digest('hex'), generatedSha256(sizeBytes))
  })

  test('an empty file is a body of no bytes', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/empty', '')
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    assert.equal(fetched.sizeBytes, 0)
    assert.equal((await readBody(fetched)).byteLength, 0)
  })

  test('uses a connection again once a body came whole', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', 'content')
    for (let n = 0; n < 8; n++) await fetchText(setup.fetcher, fetchRequest(url))
    assert.equal(setup.origin.count('/file'), 8)
    // A connection is free a turn after its body ended, so two may take turns.
    assert.ok(setup.origin.connectionCount <= 2, `${setup.origin.connectionCount} connections`)
  })

  test('a body cannot be read twice, which would look like an empty file', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', 'content')
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    await readBody(fetched)
    await failure(readBody(fetched), 'INTERNAL')
  })

  test('a reader that stops early closes the connection', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/endless', infiniteBody())
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    for await (const chunk of fetched.body) {
      assert.ok(chunk.byteLength > 0)
      break
    }
    await setup.origin.idle()
  })

  test('a reader that waits holds up the origin instead of filling memory', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    let isDrained = false
    const handler = infiniteBody()
    const url = origin.serve('/endless', (request, response, nth) => {
      response.on('drain', () => {
        isDrained = true
      })
      return handler(request, response, nth)
    })
    await using fetched = await fetchBody(fetcher, fetchRequest(url))
    // Another request on the same event loops takes many turns; after enough of them the buffers of
    // the kernel and of the fetcher are full, and the origin is not asked for more.
    const ping = fetchRequest(origin.serve('/ping', 'pong'))
    let quietTurns = 0
    for (let turn = 0; turn < 5000 && quietTurns < 50; turn++) {
      isDrained = false
      await fetchText(fetcher, ping)
      quietTurns = isDrained ? 0 : quietTurns + 1
    }
    assert.equal(quietTurns, 50)
    await fetched[Symbol.asyncDispose]()
  })

  test('a signal that fires within a body ends it with the reason of the signal', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/stalls', stallAfter(Buffer.alloc(1000), 10))
    const abort = new AbortController()
    await using fetched = await fetcher.fetch(fetchRequest(url), abort.signal)
    assert.equal(fetched.type, 'body')
    const reader = fetched.body[Symbol.asyncIterator]()
    assert.equal((await reader.next()).value?.byteLength, 10)
    const waiting = failure(reader.next(), 'DEADLINE_EXCEEDED')
    abort.abort(new DOMException('time', 'TimeoutError'))
    assert.match((await waiting).message, /^GET http:\S+\/stalls: the fetch ran out of time$/)
    await origin.idle()
  })

  test('its disposal closes its connections', async () => {
    await using origin = await startOrigin()
    const fetcher = createHttpFetcher({ userAgent: 'larder/test' })
    await fetchText(fetcher, fetchRequest(origin.serve('/file', 'content')))
    assert.equal(origin.connectionCount, 1)
    await fetcher[Symbol.asyncDispose]()
    await origin.idle()
    await failure(fetcher.fetch(fetchRequest(`${origin.url}/file`), never), 'UPSTREAM_UNAVAILABLE')
  })
})
