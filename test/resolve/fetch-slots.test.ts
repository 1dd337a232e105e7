import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { FetchSlots } from '../../src/resolve/fetch-slots.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'

const never = new AbortController().signal

/** Takes slots one after another and notes the order in which they are given. */
function taker(slots: FetchSlots) {
  const given: string[] = []
  const held = new Map<string, Disposable>()
  const take = (name: string, signal = never) =>
    slots.take(name.split(':')[0] ?? '', signal).then((slot) => {
      given.push(name)
      held.set(name, slot)
    })
  return { given, take, release: (name: string) => held.get(name)?.[Symbol.dispose]() }
}

test('as many run as are allowed, then the next in order of arrival', async () => {
  const slots = new FetchSlots({ concurrency: 2, perHost: 2, queueMax: 10 })
  const { given, take, release } = taker(slots)
  const all = ['a:1', 'b:1', 'c:1', 'd:1'].map((name) => take(name))
  await nextTurn()
  assert.deepEqual(given, ['a:1', 'b:1'])
  release('b:1')
  await all[2]
  assert.deepEqual(given, ['a:1', 'b:1', 'c:1'])
  assert.equal(slots.running, 2)
  release('a:1')
  await all[3]
  release('c:1')
  release('d:1')
  assert.equal(slots.running, 0)
})

test('the queue of one host does not hold up the others', async () => {
  const slots = new FetchSlots({ concurrency: 3, perHost: 1, queueMax: 10 })
  const { given, take, release } = taker(slots)
  const all = ['a:1', 'a:2', 'a:3', 'b:1', 'c:1'].map((name) => take(name))
  await nextTurn()
  assert.deepEqual(given, ['a:1', 'b:1', 'c:1'])
  release('b:1')
  await nextTurn()
  assert.deepEqual(given, ['a:1', 'b:1', 'c:1'])
  release('a:1')
  await all[1]
  release('a:2')
  await all[2]
  assert.deepEqual(given, ['a:1', 'b:1', 'c:1', 'a:2', 'a:3'])
})

test('a full queue refuses, and names its limit', async () => {
  const slots = new FetchSlots({ concurrency: 1, perHost: 1, queueMax: 2 })
  const { take, release } = taker(slots)
  const all = ['a:1', 'a:2', 'b:1'].map((name) => take(name))
  const error = await rejectionOf(take('c:1'), 'RESOURCE_EXHAUSTED')
  assert.match(error.message, /fetch\.queue/)
  release('a:1')
  await all[1]
  const later = take('c:1')
  release('a:2')
  await all[2]
  release('b:1')
  await later
})

test('who leaves the queue takes no slot, and makes room in it', async () => {
  const slots = new FetchSlots({ concurrency: 1, perHost: 1, queueMax: 1 })
  const { given, take, release } = taker(slots)
  await take('a:1')
  const leaving = new AbortController()
  const left = take('a:2', leaving.signal)
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  const next = take('a:3')
  release('a:1')
  await next
  assert.deepEqual(given, ['a:1', 'a:3'])
  await assert.rejects(take('b:1', AbortSignal.abort(new Error('before'))), /before/)
  assert.equal(slots.running, 1)
})

test('giving back twice gives back once', async () => {
  const slots = new FetchSlots({ concurrency: 1, perHost: 1, queueMax: 1 })
  const { take, release } = taker(slots)
  await take('a:1')
  const second = take('a:2')
  release('a:1')
  release('a:1')
  await second
  assert.equal(slots.running, 1)
})
