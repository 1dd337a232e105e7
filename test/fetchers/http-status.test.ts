import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AssetErrorCode } from '../../src/asset/errors.ts'
import { parseRetryAfterMs } from '../../src/fetchers/http-status.ts'
import { failure } from '../contract/fetcher-contract.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { answerBody, answerStatus, failTimes, validated } from '../fixtures/http-behaviours.ts'
import { fetchText, never, openHttp } from './http-setup.ts'

const codes: Readonly<Partial<Record<AssetErrorCode, readonly number[]>>> = {
  PERMISSION_DENIED: [401, 403, 407, 451],
  NOT_FOUND: [400, 402, 404, 405, 410, 414, 418, 422, 431],
  UPSTREAM_UNAVAILABLE: [201, 202, 204, 206, 300, 304, 305, 408, 425, 429, 500, 502, 503, 504, 599],
}

describe('http status', () => {
  for (const [code, statuses] of Object.entries(codes) as [AssetErrorCode, number[]][]) {
    test(`${statuses.join(', ')} are ${code}`, async () => {
      await using setup = await openHttp()
      for (const status of statuses) {
        const url = setup.origin.serve('/file', answerStatus(status))
        const error = await failure(setup.fetcher.fetch(fetchRequest(url), never), code)
        assert.ok(error.message.startsWith(`GET ${url}: answered ${status}`), error.message)
        assert.equal(error.retryAfterMs, undefined)
      }
    })
  }

  test('203 is content like 200', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', answerStatus(203))
    assert.equal(await fetchText(setup.fetcher, fetchRequest(url)), 'answered 203\n')
  })

  test('an origin that recovers is asked again by whoever asks again', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/f', failTimes(2, answerStatus(503), answerBody('content')))
    await failure(fetcher.fetch(fetchRequest(url), never), 'UPSTREAM_UNAVAILABLE')
    assert.equal(origin.count('/f'), 1)
    await failure(fetcher.fetch(fetchRequest(url), never), 'UPSTREAM_UNAVAILABLE')
    assert.equal(await fetchText(fetcher, fetchRequest(url)), 'content')
  })

  test('Retry-After is passed on', async () => {
    const nowMs = Date.UTC(2026, 0, 1)
    await using setup = await openHttp({ clock: () => nowMs, limits: { retryAfterMsMax: 50_000 } })
    const { origin, fetcher } = setup
    const expected = [
      [429, '7', 7000],
      [503, new Date(nowMs + 9000).toUTCString(), 9000],
      [503, '86400', 50_000],
      [429, 'soon', undefined],
    ] as const
    for (const [status, value, retryAfterMs] of expected) {
      const url = origin.serve('/file', answerStatus(status, { 'retry-after': value }))
      const fetching = fetcher.fetch(fetchRequest(url), never)
      assert.equal((await failure(fetching, 'UPSTREAM_UNAVAILABLE')).retryAfterMs, retryAfterMs)
    }
    const url = origin.serve('/file', answerStatus(404, { 'retry-after': '7' }))
    const error = await failure(fetcher.fetch(fetchRequest(url), never), 'NOT_FOUND')
    assert.equal(error.retryAfterMs, undefined)
  })
})

describe('parseRetryAfterMs', () => {
  const nowMs = Date.UTC(2026, 10, 24, 12)
  const cases: readonly (readonly [string | undefined, number | undefined])[] = [
    [undefined, undefined],
    ['', undefined],
    ['0', 0],
    [' 12 ', 12_000],
    ['-5', undefined],
    ['1.5', undefined],
    ['99999999999999999999999', 60_000],
    ['Tue, 24 Nov 2026 12:00:30 GMT', 30_000],
    ['Tue, 24 Nov 2026 11:00:00 GMT', 0],
    ['Tue, 24 Nov 2099 12:00:00 GMT', 60_000],
    ['tomorrow', undefined],
  ]
  for (const [value, expected] of cases) {
    test(`${JSON.stringify(value)} is ${expected}`, () => {
      assert.equal(parseRetryAfterMs(value, { retryAfterMsMax: 60_000 }, nowMs), expected)
    })
  }
})

describe('http conditional requests', () => {
  const etag = '"v1"'
  const lastModified = 'Tue, 01 Sep 2026 10:00:00 GMT'

  test('send what is held; 304 means that it still holds', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/file', validated('content', { etag, lastModified }))
    for (const held of [{ etag }, { lastModified }, { etag, lastModified }]) {
      await using fetched = await fetcher.fetch(fetchRequest(url, { held }), never)
      assert.equal(fetched.type, 'not-modified')
      assert.deepEqual(fetched.validators, { etag, lastModified })
      assert.equal(fetched.finalUri, url)
      const sent = origin.requests.at(-1)?.headers
      assert.equal(sent?.['if-none-match'], held.etag)
      assert.equal(sent?.['if-modified-since'], held.lastModified)
    }
  })

  test('a 304 that names no validators keeps those held', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', answerStatus(304))
    await using fetched = await setup.fetcher.fetch(fetchRequest(url, { held: { etag } }), never)
    assert.equal(fetched.type, 'not-modified')
    assert.deepEqual(fetched.validators, { etag, lastModified: undefined })
  })

  test('content that has changed comes as a body', async () => {
    await using setup = await openHttp()
    const url = setup.origin.serve('/file', validated('content', { etag: '"v2"' }))
    assert.equal(await fetchText(setup.fetcher, fetchRequest(url, { held: { etag } })), 'content')
  })

  test('without anything held there are none, and a 304 is the origin at fault', async () => {
    await using setup = await openHttp()
    const { origin, fetcher } = setup
    const url = origin.serve('/file', answerStatus(304))
    for (const request of [fetchRequest(url), fetchRequest(url, { held: {} })]) {
      await failure(fetcher.fetch(request, never), 'UPSTREAM_UNAVAILABLE')
      assert.equal(origin.requests.at(-1)?.headers['if-none-match'], undefined)
    }
  })
})
