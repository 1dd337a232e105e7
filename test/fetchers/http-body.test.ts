import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Fetcher } from '../../src/fetchers/fetcher.ts'
import { failure } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { generatedContent } from '../fixtures/generated-content.ts'
import {
  answerBody,
  cutShortAfter,
  drip,
  type Framing,
  gzipAnyway,
  infiniteBody,
  rawAnswer,
  redirectTo,
  resetAfter,
  stallAfter,
} from '../fixtures/http-behaviours.ts'
import type { OriginHandler } from '../fixtures/http-origin.ts'
import { fetchBody, fetchText, never, openHttp, readBody } from './http-setup.ts'

const content = Buffer.concat([...generatedContent(300_000)])

async function brokenBody(fetcher: Fetcher, url: string) {
  await using fetched = await fetchBody(fetcher, fetchRequest(url))
  return await failure(readBody(fetched), 'UPSTREAM_UNAVAILABLE')
}

describe('http body that is cut short', () => {
  const cases: Readonly<Record<string, readonly [OriginHandler, RegExp]>> = {
    'reset, with a length': [resetAfter(content, 2000), /closed after \d+ of 300000 bytes$/],
    'reset, in chunks': [resetAfter(content, 2000, 'chunked'), /closed after \d+ bytes$/],
    'reset, up to the end of the connection': [
      resetAfter(content, 2000, 'eof'),
      /closed after \d+ bytes$/,
    ],
    'ended, with a length': [cutShortAfter(content, 2000), /closed after 2000 of 300000 bytes$/],
    'ended, in chunks': [cutShortAfter(content, 2000, 'chunked'), /closed after 2000 bytes$/],
    'ended before the first byte': [cutShortAfter(content, 0), /closed after 0 of 300000 bytes$/],
    'with a broken chunk': [
      rawAnswer('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n'),
      /the body is not valid HTTP after 3 bytes$/,
    ],
  }
  for (const [what, [handler, message]] of Object.entries(cases)) {
    test(`${what} is never a whole one`, async () => {
      await using setup = await openHttp()
      const error = await brokenBody(setup.fetcher, setup.origin.serve('/file', handler))
      assert.match(error.message, message)
      await setup.origin.idle()
    })
  }

  test('one that falls silent is given up', async () => {
    await using setup = await openHttp({ limits: { idleTimeoutMs: 50 } })
    const url = setup.origin.serve('/file', stallAfter(content, 10))
    const { message } = await brokenBody(setup.fetcher, url)
    assert.ok(message.endsWith('no data came for 50 ms after 10 of 300000 bytes'), message)
    await setup.origin.idle()
  })

  test('one that only comes slowly is not', async () => {
    await using setup = await openHttp({ limits: { idleTimeoutMs: 5000 } })
    const url = setup.origin.serve('/file', drip(Buffer.from('content'), 2, 1))
    assert.equal(await fetchText(setup.fetcher, fetchRequest(url)), 'content')
  })

  for (const framing of ['length', 'chunked', 'eof'] satisfies Framing[]) {
    test(`a whole one passes, framing ${framing}`, async () => {
      await using setup = await openHttp()
      const url = setup.origin.serve('/file', answerBody(content, {}, framing))
      await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
      assert.equal(fetched.sizeBytes, framing === 'length' ? content.length : undefined)
      assert.deepEqual(await readBody(fetched), content)
    })
  }
})

describe('http body that is too large', () => {
  const limits = { sizeBytesMax: 200_000 }

  test('is refused as soon as its size is announced', async () => {
    await using setup = await openHttp({ limits })
    const url = setup.origin.serve('/file', stallAfter(content, 0))
    const fetching = setup.fetcher.fetch(fetchRequest(url), never)
    const { message } = await failure(fetching, 'RESOURCE_EXHAUSTED')
    assert.match(message, /announces 300000 bytes, larger than the limit of 200000 bytes$/)
    await setup.origin.idle()
  })

  for (const [what, handler] of Object.entries({
    'unannounced ones': answerBody(content, {}, 'chunked'),
    'endless ones': infiniteBody(),
    'decoded ones': gzipAnyway(Buffer.alloc(250_000)),
  })) {
    test(`is stopped on its way: ${what}`, async () => {
      await using setup = await openHttp({ limits })
      const url = setup.origin.serve('/file', handler)
      await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
      const { message } = await failure(readBody(fetched), 'RESOURCE_EXHAUSTED')
      assert.match(message, /larger than the limit of 200000 bytes$/)
    })
  }

  test('a body of exactly the limit passes', async () => {
    await using setup = await openHttp({ limits: { sizeBytesMax: content.length } })
    for (const framing of ['length', 'chunked'] satisfies Framing[]) {
      const url = setup.origin.serve('/file', answerBody(content, {}, framing))
      await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
      assert.equal((await readBody(fetched)).length, content.length)
    }
  })
})

describe('http body that is encoded though nobody asked', () => {
  test('gzip is decoded, and its encoded size is not taken for the size', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file.txt', gzipAnyway(content))
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    assert.equal(fetched.sizeBytes, undefined)
    assert.deepEqual(await readBody(fetched), content)
  })

  test('a compressed file is left as it is, also where only a redirect names it', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    for (const name of ['a.tar.gz', 'a.tgz', 'a.txz', 'a.zip', 'A.GZ']) {
      const url = origin.serve(`/${name}`, gzipAnyway(content))
      const start = origin.serve('/latest', redirectTo(`/${name}`))
      for (const asked of [url, start]) {
        await using fetched = await fetchBody(fetcher, fetchRequest(asked))
        const bytes = await readBody(fetched)
        assert.equal(fetched.sizeBytes, bytes.length)
        assert.deepEqual(gunzipSync(bytes), content)
      }
    }
  })

  for (const encoding of ['br', 'zstd', 'deflate', 'compress', 'gzip, gzip', 'odd']) {
    test(`${encoding} is refused`, async () => {
      await using setup = await openHttp()
      const url = setup.origin.serve('/f', answerBody('x', { 'content-encoding': encoding }))
      const fetching = setup.fetcher.fetch(fetchRequest(url), never)
      const { message } = await failure(fetching, 'PERMISSION_DENIED')
      assert.ok(message.includes(`encoded with "${encoding}"`), message)
    })
  }

  for (const encoding of ['', 'identity', 'utf-8', 'aws-chunked', 'Identity, aws-chunked']) {
    test(`"${encoding}" changes nothing`, async () => {
      await using setup = await openHttp()
      const url = setup.origin.serve('/f', answerBody('x', { 'content-encoding': encoding }))
      assert.equal(await fetchText(setup.fetcher, fetchRequest(url)), 'x')
    })
  }

  const gzipped = gzipSync(content)
  for (const [what, bytes] of Object.entries({
    'not gzip at all': Buffer.from('plain text'),
    'gzip that ends early': gzipped.subarray(0, gzipped.length - 100),
    'gzip with a wrong checksum': Buffer.concat([gzipped.subarray(0, -8), Buffer.alloc(8)]),
  })) {
    test(`${what} is never a whole body`, async () => {
      await using setup = await openHttp()
      const handler = answerBody(bytes, { 'content-encoding': 'gzip' })
      const error = await brokenBody(setup.fetcher, setup.origin.serve('/file', handler))
      assert.match(error.message, /not whole or not gzip$/)
    })
  }

  test('a connection that breaks is told as such, not as bad gzip', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/file', (request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': gzipped.length })
      response.write(gzipped.subarray(0, 1000), () => request.socket.end())
    })
    const { message } = await brokenBody(fetcher, url)
    assert.match(message, /closed after 1000 of \d+ bytes$/)
  })

  test('a bomb is stopped by its ratio', async () => {
    await using setup = await openHttp({
      limits: { gunzipRatioMax: 100, gunzipFreeBytes: 100_000 },
    })
    const url = setup.origin.serve('/file', gzipAnyway(Buffer.alloc(20_000_000)))
    await using fetched = await fetchBody(setup.fetcher, fetchRequest(url))
    const { message } = await failure(readBody(fetched), 'RESOURCE_EXHAUSTED')
    assert.match(message, /decodes to more than 100 times its size$/)
  })

  test('a reader that stops early closes the connection', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/file', (_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.write(gzipped.subarray(0, 200_000))
    })
    await using fetched = await fetchBody(fetcher, fetchRequest(url))
    for await (const chunk of fetched.body) {
      assert.ok(chunk.byteLength > 0)
      break
    }
    await origin.idle()
  })
})
