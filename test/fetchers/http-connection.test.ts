import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { AssetError } from '../../src/asset/errors.ts'
import { createHttpAgent } from '../../src/fetchers/http-agent.ts'
import { createHttpFetcher } from '../../src/fetchers/http-fetcher.ts'
import { defaultHttpLimits } from '../../src/fetchers/http-limits.ts'
import { failure } from '../contract/fetcher-contract.ts'
import type { CertificateKind } from '../fixtures/certificates.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { rawAnswer, resetAtOnce, stallBeforeHeaders } from '../fixtures/http-behaviours.ts'
import { fetchText, never, openHttp } from './http-setup.ts'

describe('http connection', () => {
  test('refused, then fine again', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const request = fetchRequest(origin.serve('/file', 'content'))
    await origin.stop()
    const { message } = await failure(fetcher.fetch(request, never), 'UPSTREAM_UNAVAILABLE')
    assert.ok(message.endsWith(`127.0.0.1:${origin.port} refused the connection`), message)
    await origin.restart()
    assert.equal(await fetchText(fetcher, request), 'content')
  })

  test('to a host that does not exist', async () => {
    await using fetcher = createHttpFetcher({ userAgent: 'larder/test' })
    const request = fetchRequest('http://no-such-host.invalid/file')
    const { message } = await failure(fetcher.fetch(request, never), 'UPSTREAM_UNAVAILABLE')
    assert.ok(message.endsWith('cannot resolve host no-such-host.invalid'), message)
  })

  test('reset before an answer', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', resetAtOnce())
    const fetching = setup.fetcher.fetch(fetchRequest(url), never)
    const { message } = await failure(fetching, 'UPSTREAM_UNAVAILABLE')
    assert.match(message, /closed before an answer came$/)
  })

  test('with something on it that is not HTTP', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', rawAnswer('220 mail.example ESMTP\r\n'))
    const fetching = setup.fetcher.fetch(fetchRequest(url), never)
    assert.match((await failure(fetching, 'UPSTREAM_UNAVAILABLE')).message, /not valid HTTP$/)
  })

  test('with headers that never come', async () => {
    await using setup = await openHttp({ limits: { headersTimeoutMs: 50 } })
    const url = setup.origin.serve('/file', stallBeforeHeaders())
    const fetching = setup.fetcher.fetch(fetchRequest(url), never)
    const { message } = await failure(fetching, 'UPSTREAM_UNAVAILABLE')
    assert.match(message, /no answer within 50 ms$/)
    await setup.origin.idle()
  })

  test('with headers that are too large', async () => {
    await using setup = await openHttp({ limits: { headerBytesMax: 2000 } })
    const { origin, fetcher } = setup
    const url = origin.serve('/file', 'content', { headers: { 'x-large': 'a'.repeat(4000) } })
    const fetching = fetcher.fetch(fetchRequest(url), never)
    const { message } = await failure(fetching, 'UPSTREAM_UNAVAILABLE')
    assert.match(message, /headers are larger than 2000 bytes$/)
  })

  test('that is never made', async () => {
    // Takes the connection and stays silent, so that the TLS handshake never ends.
    const server = createServer((socket: Socket) => socket.on('error', () => {}).resume())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    await using fetcher = createHttpFetcher({
      userAgent: 'larder/test',
      limits: { connectTimeoutMs: 50 },
    })
    const request = fetchRequest(`https://127.0.0.1:${address.port}/file`)
    const { message } = await failure(fetcher.fetch(request, never), 'UPSTREAM_UNAVAILABLE')
    assert.match(message, /no connection within 50 ms$/)
    server.close()
    await once(server, 'close')
  })

  test('a signal that fires while it is being made stops the fetch at once', async () => {
    const server = createServer((socket: Socket) => socket.on('error', () => {}).resume())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const fetcher = createHttpFetcher({ userAgent: 'larder/test' })
    const abort = new AbortController()
    const connected = once(server, 'connection')
    const request = fetchRequest(`https://127.0.0.1:${address.port}/file`)
    const failing = failure(fetcher.fetch(request, abort.signal), 'CANCELLED')
    const [socket] = await connected
    abort.abort()
    await failing
    socket.destroy()
    await fetcher[Symbol.asyncDispose]()
    server.close()
    await once(server, 'close')
  })

  test('that a guard in the agent refuses says why', async () => {
    const refusal = new AssetError('PERMISSION_DENIED', 'internal addresses are not fetched from')
    const dispatcher = createHttpAgent(defaultHttpLimits, {
      lookup: (_host, _options, callback) => callback(refusal, ''),
    })
    const fetcher = createHttpFetcher({ userAgent: 'larder/test', dispatcher })
    const fetching = fetcher.fetch(fetchRequest('http://guarded.example/file'), never)
    const { message } = await failure(fetching, 'PERMISSION_DENIED')
    assert.equal(message, `GET http://guarded.example/file: ${refusal.message}`)
    await dispatcher.destroy()
  })
})

describe('https connection', () => {
  test('with a certificate that is trusted', async () => {
    await using setup = await openHttp({ tls: 'valid' })
    const { origin, fetcher } = setup
    const url = origin.serve('/file', 'content')
    assert.equal(await fetchText(fetcher, fetchRequest(url)), 'content')
    assert.equal(await fetchText(fetcher, fetchRequest(`${origin.otherUrl}/file`)), 'content')
  })

  const refused: readonly (readonly [CertificateKind, boolean, string])[] = [
    ['expired', true, 'has expired'],
    ['wrong-host', true, 'is for another host'],
    ['self-signed', true, 'is self-signed'],
    ['valid', false, 'leads to an authority that is not trusted'],
  ]
  for (const [tls, isTrusted, reason] of refused) {
    test(`with a certificate that ${reason}`, async () => {
      await using setup = await openHttp({ tls, isTrusted })
      const url = setup.origin.serve('/file', 'content')
      const fetching = setup.fetcher.fetch(fetchRequest(url), never)
      const { message } = await failure(fetching, 'PERMISSION_DENIED')
      assert.equal(message, `GET ${url}: the TLS certificate of 127.0.0.1 ${reason}`)
      assert.equal(setup.origin.requests.length, 0)
    })
  }

  test('to a port that speaks http', async () => {
    await using setup = await openHttp()
    const request = fetchRequest(`https://127.0.0.1:${setup.origin.port}/file`)
    const { message } = await failure(setup.fetcher.fetch(request, never), 'UPSTREAM_UNAVAILABLE')
    assert.match(message, /the TLS handshake failed/)
  })
})
