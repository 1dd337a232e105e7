import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { AssetError } from '../../src/asset/errors.ts'
import type { AssetRow } from '../../src/asset-index/asset-index.ts'
import type { Fetched } from '../../src/fetchers/fetcher.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { assetRequest, body, fail, ResolverHouse, storeBlob } from '../fixtures/resolver-house.ts'

const first = 'https://a.example/x'
const second = 'https://b.example/x'

/** A house in which the origin answers when the test says so. */
function waiting(options = {}) {
  const house = new ResolverHouse(options)
  const answer = Promise.withResolvers<Fetched>()
  const isAsked = Promise.withResolvers<AbortSignal>()
  house.origins.answers.set(first, (_request, signal) => {
    isAsked.resolve(signal)
    return answer.promise
  })
  return { house, answer, asked: isAsked.promise }
}

describe('one fetch', () => {
  test('serves a thousand who ask for the same', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    const qualifiers = { 'bazel.canonical_id': 'c', directory: 'a.txt' }
    const all = Array.from({ length: 1000 }, () =>
      house.resolve(assetRequest(first, { qualifiers })),
    )
    await asked
    answer.resolve(body('archive'))
    const digests = new Set((await Promise.all(all)).map(({ digest }) => digest.hash))
    assert.equal(digests.size, 1)
    assert.equal(house.origins.asked.length, 1)
    assert.equal(house.importers.archives.length, 1)
  })

  test('serves other orders of the same URIs, not other scopes, functions or kinds', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    house.origins.answers.set(second, () => answer.promise)
    const same = [
      house.resolve(assetRequest([first, second])),
      house.resolve(assetRequest([second, first])),
    ]
    await asked
    const others = [
      assetRequest([first, second], { qualifiers: { 'http_header:A': '1' } }),
      assetRequest([first, second], { qualifiers: { 'http_header:A': '2' } }),
      assetRequest([first, second], { digestFunction: 'BLAKE3' }),
      assetRequest([first, second], { instance: 'other' }),
      assetRequest([first]),
    ].map((request) => house.resolve(request))
    while (house.origins.asked.length < 6) await nextTurn()
    answer.reject(new Error('end of the test'))
    await Promise.allSettled([...same, ...others])
    assert.equal(house.origins.asked.length, 6)
  })

  test('goes on when all have left, and is found done', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    const leaving = new AbortController()
    const request = assetRequest(first)
    const left = [request, request].map((each) => house.resolve(each, leaving.signal))
    const signal = await asked
    leaving.abort(new Error('client has gone'))
    for (const each of left) await assert.rejects(each, /client has gone/)
    assert.equal(signal.aborted, false)
    const later = house.resolve(request)
    answer.resolve(body('content'))
    await later
    assert.deepEqual((await house.resolve(request)).digest, await storeBlob(house.store, 'content'))
    assert.equal(house.origins.asked.length, 1)
  })

  test('that fails when all have left is remembered as failed', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    const leaving = new AbortController()
    const left = house.resolve(assetRequest(first), leaving.signal)
    await asked
    leaving.abort(new Error('client has gone'))
    await assert.rejects(left, /client has gone/)
    answer.reject(new AssetError('NOT_FOUND', 'gone'))
    // The next one joins the end of the work, or is told what is remembered of it.
    await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    await nextTurn()
    const error = await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    assert.equal(error.retryAfterMs, 5000)
    assert.equal(house.origins.asked.length, 1)
  })

  test('that takes too long is DEADLINE_EXCEEDED for all, and its signal fires', async () => {
    const { house, asked } = waiting({ timeoutMs: 20 })
    using _ = house
    const all = [1, 2].map(() => house.resolve(assetRequest(first)))
    const errors = await Promise.all(all.map((each) => rejectionOf(each, 'DEADLINE_EXCEEDED')))
    assert.match(errors[0]?.message ?? '', /https:\/\/a\.example\/x: .* longer than 0\.02 s/)
    assert.equal((await asked).aborted, true)
  })

  test('has the time of the request, within what is configured', async () => {
    const { house } = waiting({ timeoutMs: 20, gitTimeoutMs: 20 })
    using _ = house
    const request = assetRequest(first, { timeoutMs: 3_600_000 })
    await rejectionOf(house.resolve(request), 'DEADLINE_EXCEEDED')
    const short = waiting()
    using __ = short.house
    const soon = assetRequest(first, { timeoutMs: 10 })
    await rejectionOf(short.house.resolve(soon), 'DEADLINE_EXCEEDED')
  })

  test('is waited for no longer than a request says, and goes on for the others', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    const patient = house.resolve(assetRequest(first))
    const signal = await asked
    const hasty = house.resolve(assetRequest(first, { timeoutMs: 10 }))
    const error = await rejectionOf(hasty, 'DEADLINE_EXCEEDED')
    assert.match(error.message, /longer than 0\.01 s/)
    assert.equal(signal.aborted, false)
    answer.resolve(body('content'))
    assert.deepEqual((await patient).digest, await storeBlob(house.store, 'content'))
  })

  test('ends with the house', async () => {
    const { house, asked } = waiting()
    const resolving = house.resolve(assetRequest(first))
    const signal = await asked
    house[Symbol.dispose]()
    await rejectionOf(resolving, 'UNAVAILABLE')
    assert.equal(signal.aborted, true)
  })

  test('answers too who looked just before its row was stored', async () => {
    const { house, answer, asked } = waiting()
    using _ = house
    const early = house.resolve(assetRequest(first))
    await asked
    // The late one sees no row, and is held up in its next look-up until the fetch is done.
    const gate = Promise.withResolvers<void>()
    const isLooking = Promise.withResolvers<void>()
    const find = house.index.findPushedSupersets.bind(house.index)
    house.index.findPushedSupersets = async (key): Promise<readonly AssetRow[]> => {
      isLooking.resolve()
      await gate.promise
      return find(key)
    }
    const late = house.resolve(assetRequest(first))
    await isLooking.promise
    answer.resolve(body('content'))
    await early
    gate.resolve()
    assert.deepEqual((await late).digest, (await early).digest)
    assert.equal(house.origins.asked.length, 1)
  })
})

describe('failures', () => {
  test('are remembered: six retries are one fetch, and are told when to come back', async () => {
    using house = new ResolverHouse()
    const request = assetRequest(first)
    await rejectionOf(house.resolve(request), 'NOT_FOUND')
    for (let retry = 1; retry <= 5; retry += 1) {
      house.nowMs += 600
      const error = await rejectionOf(house.resolve(request), 'NOT_FOUND')
      assert.equal(error.retryAfterMs, 5000 - retry * 600)
      assert.match(error.message, /https:\/\/a\.example\/x: 404/)
    }
    assert.equal(house.origins.asked.length, 1)
    house.nowMs += 5000 - 5 * 600
    house.origins.answers.set(first, () => body('content'))
    await house.resolve(request)
    assert.equal(house.origins.asked.length, 2)
  })

  test('are remembered for as long as the origin wishes', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () =>
      fail('UPSTREAM_UNAVAILABLE', '429', { retryAfterMs: 30_000 }),
    )
    await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    house.nowMs += 29_999
    const error = await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    assert.equal(error.retryAfterMs, 1)
    assert.equal(house.origins.asked.length, 1)
    house.nowMs += 1
    await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    assert.equal(house.origins.asked.length, 2)
  })

  test('of one scope, instance or set of URIs say nothing about another', async () => {
    using house = new ResolverHouse()
    await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    const others = [
      assetRequest(first, { qualifiers: { 'http_header:Authorization': 'x' } }),
      assetRequest(first, { instance: 'other' }),
      assetRequest([first, second]),
    ]
    for (const request of others) await rejectionOf(house.resolve(request), 'NOT_FOUND')
    assert.equal(house.origins.asked.length, 5)
  })

  test('do not hide what is pushed meanwhile', async () => {
    using house = new ResolverHouse()
    await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    const digest = await storeBlob(house.store, 'pushed')
    await house.putRow(assetRequest(first), digest)
    assert.deepEqual((await house.resolve(assetRequest(first))).digest, digest)
  })

  test('of long messages are remembered short', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => fail('NOT_FOUND', `${first}: ${'x'.repeat(100_000)}`))
    await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    const { message } = await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    assert.ok(message.startsWith(first) && message.length < 5000)
  })

  for (const code of ['INTERNAL', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED'] as const) {
    test(`that are our own are not remembered: ${code}`, async () => {
      using house = new ResolverHouse()
      house.origins.answers.set(first, () => fail(code))
      await rejectionOf(house.resolve(assetRequest(first)), code)
      house.origins.answers.set(first, () => body('content'))
      await house.resolve(assetRequest(first))
    })
  }
})
