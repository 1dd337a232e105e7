import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { SingleFlight } from '../../src/util/single-flight.ts'

const never = new AbortController().signal
const longMs = 60_000

test('all who join are given the one outcome, and the next begins anew', async () => {
  const flights = new SingleFlight<number>()
  const work = Promise.withResolvers<number>()
  let started = 0
  const join = () =>
    flights.join('k', longMs, never, () => {
      started += 1
      return work.promise
    })
  const joined = Array.from({ length: 1000 }, join)
  assert.equal(flights.size, 1)
  work.resolve(7)
  assert.deepEqual(new Set(await Promise.all(joined)), new Set([7]))
  assert.equal(started, 1)
  assert.equal(flights.size, 0)
  await join()
  assert.equal(started, 2)
})

test('other keys are other work', async () => {
  const flights = new SingleFlight<string>()
  const both = ['a', 'b'].map((key) => flights.join(key, longMs, never, async () => key))
  assert.deepEqual(await Promise.all(both), ['a', 'b'])
})

test('a failure goes to all and is not kept', async () => {
  const flights = new SingleFlight<number>()
  const fails = () => flights.join('k', longMs, never, () => Promise.reject(new Error('no')))
  const outcomes = await Promise.allSettled([fails(), fails()])
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.equal(await flights.join('k', longMs, never, async () => 1), 1)
})

test('who leaves is told its own reason; the work goes on, for a later one to join', async () => {
  const flights = new SingleFlight<number>()
  const work = Promise.withResolvers<number>()
  let seen: AbortSignal | undefined
  const leaving = new AbortController()
  const join = (signal: AbortSignal) =>
    flights.join('k', longMs, signal, (own) => {
      seen = own
      return work.promise
    })
  const left = join(leaving.signal)
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  await nextTurn()
  assert.equal(flights.size, 1)
  assert.equal(seen?.aborted, false)
  const later = join(never)
  work.resolve(3)
  assert.equal(await later, 3)
})

test('work that all have left may fail without anybody hearing of it', async () => {
  const flights = new SingleFlight<number>()
  const work = Promise.withResolvers<number>()
  const leaving = new AbortController()
  const left = flights.join('k', longMs, leaving.signal, () => work.promise)
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  work.reject(new Error('unheard'))
  await nextTurn()
  assert.equal(flights.size, 0)
})

test('work beyond its time is ended, though it does not notice', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const flights = new SingleFlight<number>()
  let seen: AbortSignal | undefined
  const joined = flights.join('k', 1000, never, (own) => {
    seen = own
    return new Promise(() => {})
  })
  t.mock.timers.tick(999)
  assert.equal(seen?.aborted, false)
  t.mock.timers.tick(1)
  await assert.rejects(joined, { name: 'TimeoutError' })
  assert.equal(seen?.aborted, true)
  assert.equal(flights.size, 0)
})

test('a later caller extends the time, and never cuts it short', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const flights = new SingleFlight<number>()
  const join = (timeoutMs: number) =>
    flights.join('k', timeoutMs, never, () => new Promise(() => {}))
  const joined = [join(1000), join(60_000), join(10)]
  t.mock.timers.tick(59_999)
  await nextTurn()
  assert.equal(flights.size, 1)
  t.mock.timers.tick(1)
  const outcomes = await Promise.allSettled(joined)
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
})

test('abort ends all work with its reason', async () => {
  const flights = new SingleFlight<number>()
  const joined = ['a', 'b'].map((key) =>
    flights.join(key, longMs, never, () => new Promise(() => {})),
  )
  flights.abort(new Error('shutting down'))
  for (const each of joined) await assert.rejects(each, /shutting down/)
})
