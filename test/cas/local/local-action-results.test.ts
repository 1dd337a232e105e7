import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import type { LocalStoreOptions } from '../../../src/cas/local/local-store-options.ts'
import { digestFor } from '../../contract/blob-store-contract.ts'

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'larder-actions-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true })
  }
}

const action = digestFor(Buffer.from('an action'))
const bytes = (text: string) => new Uint8Array(Buffer.from(text))

test('results are kept by instance, function, hash and size, also after reopen', () =>
  withDirectory(async (directory) => {
    {
      await using store = await LocalBlobStore.open(directory)
      const { actionResults } = store
      assert.equal(await actionResults.get('', action), undefined)
      await actionResults.put('', action, bytes('first'))
      await actionResults.put('other', action, bytes('of other'))
      const view = Buffer.from('xx second').subarray(3)
      await actionResults.put('', action, view)
      assert.equal(view.toString(), 'second')
    }
    await using store = await LocalBlobStore.open(directory)
    const { actionResults } = store
    assert.deepEqual(bytes('second'), new Uint8Array((await actionResults.get('', action)) ?? []))
    const other = await actionResults.get('other', action)
    assert.equal(Buffer.from(other ?? []).toString(), 'of other')
    const { hash, sizeBytes } = action
    assert.equal(await actionResults.get('', { ...action, sizeBytes: sizeBytes + 1 }), undefined)
    const blake3 = { function: 'BLAKE3', hash, sizeBytes } as const
    assert.equal(await actionResults.get('', blake3), undefined)
    assert.equal(store.stats().blobs, 0)
  }))

const limits: [string, LocalStoreOptions][] = [
  ['rows', { actionResultsMax: 3 }],
  ['bytes', { actionResultBytesMax: 35 }],
]
for (const [name, limit] of limits) {
  test(`the least recently used results go beyond the limit of ${name}`, () =>
    withDirectory(async (directory) => {
      let nowMs = 1_000_000_000_000
      const options = { ...limit, clock: () => nowMs, protectionMs: 0, touchIntervalMs: 0 }
      const keys = Array.from({ length: 5 }, (_, index) => digestFor(Buffer.alloc(index + 1)))
      {
        await using store = await LocalBlobStore.open(directory, options)
        for (const key of keys.slice(0, 3)) {
          await store.actionResults.put('', key, bytes('ten bytes.'))
          nowMs += 1000
        }
        assert.ok(await store.actionResults.get('', keys[0] ?? action))
      }
      await using store = await LocalBlobStore.open(directory, options)
      for (const key of keys.slice(3)) {
        nowMs += 1000
        await store.actionResults.put('', key, bytes('ten bytes.'))
      }
      const found = await Promise.all(keys.map((key) => store.actionResults.get('', key)))
      const held = found.map((result) => result !== undefined)
      assert.deepEqual(held, [true, false, false, true, true])
    }))
}
