import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { WriterThread } from '../../src/util/writer-thread.ts'
import { hasCode } from '../contract/blob-store-contract.ts'
import type { CounterNotice, CounterWrites } from './counter-writer.ts'

interface Fixture {
  readonly path: string
  readonly writer: WriterThread<CounterWrites, CounterNotice>
  readonly notices: CounterNotice[]
}

async function withWriter(body: (fixture: Fixture) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'larder-writer-'))
  const path = join(directory, 'items.sqlite')
  const notices: CounterNotice[] = []
  const writer = await WriterThread.start<CounterWrites, CounterNotice>({
    label: 'items',
    module: new URL('./counter-writer.ts', import.meta.url),
    data: { path },
    onNotice: (notice) => notices.push(notice),
  })
  try {
    await body({ path, writer, notices })
  } finally {
    await writer[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  }
}

function namesIn(path: string): unknown[] {
  const database = new Database(path, { readonly: true })
  const names = database.prepare('SELECT name FROM items ORDER BY name').pluck().all()
  database.close()
  return names
}

test('each caller gets its own result, and one failure leaves its neighbours alone', () =>
  withWriter(async ({ path, writer }) => {
    const results = await Promise.allSettled([
      writer.call('add', { name: 'a', size: 1 }),
      writer.call('addAndFail', { name: 'b' }),
      writer.call('add', { name: 'a', size: 2 }),
      writer.call('add', { name: 'c', size: 3 }),
    ])
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : 'rejected')),
      [1, 'rejected', 'rejected', 2],
    )
    const failure = results[1]
    assert.ok(failure.status === 'rejected' && hasCode('RESOURCE_EXHAUSTED')(failure.reason))
    assert.deepEqual(namesIn(path), ['a', 'c'])
  }))

test('calls that come together are committed in few groups', () =>
  withWriter(async ({ path, writer, notices }) => {
    const calls = Array.from({ length: 500 }, (_, size) =>
      writer.call('add', { name: `item ${size}`, size }),
    )
    const results = await Promise.all(calls)
    assert.deepEqual(
      results,
      calls.map((_, index) => index + 1),
    )
    assert.equal(namesIn(path).length, 500)
    const last = notices.at(-1)
    assert.equal(last?.rows, 500)
    assert.ok((last?.groups ?? 500) < 250, `${last?.groups} groups`)
  }))

test('bytes are transferred', () =>
  withWriter(async ({ writer }) => {
    const bytes = new Uint8Array([1, 2, 3])
    assert.equal(await writer.call('sum', { bytes }, [bytes.buffer]), 6)
    assert.equal(bytes.byteLength, 0)
  }))

test('calls under way end before the thread does; later ones are refused', () =>
  withWriter(async ({ path, writer }) => {
    const call = writer.call('add', { name: 'last', size: 1 })
    await writer[Symbol.asyncDispose]()
    assert.equal(await call, 1)
    assert.deepEqual(namesIn(path), ['last'])
    const late = writer.call('add', { name: 'late', size: 1 })
    await assert.rejects(late, hasCode('UNAVAILABLE'))
  }))

test('when the thread dies, all calls reject with UNAVAILABLE and say so', () =>
  withWriter(async ({ writer }) => {
    await writer.call('add', { name: 'kept', size: 1 })
    const calls = [writer.call('exit', {}), writer.call('add', { name: 'lost', size: 1 })]
    for (const result of await Promise.allSettled(calls)) {
      assert.ok(result.status === 'rejected' && hasCode('UNAVAILABLE')(result.reason))
      assert.match(String(result.reason), /items writer has stopped unexpectedly/)
    }
    await assert.rejects(writer.call('add', { name: 'late', size: 1 }), hasCode('UNAVAILABLE'))
  }))

test('a host that cannot open its database fails the start', async () => {
  const start = WriterThread.start<CounterWrites, CounterNotice>({
    label: 'items',
    module: new URL('./counter-writer.ts', import.meta.url),
    data: { path: '/nowhere/at/all.sqlite' },
  })
  await assert.rejects(start, /directory does not exist/)
})
