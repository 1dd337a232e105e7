import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Digest } from '../../../src/asset/digest.ts'
import { LocalBlobStore } from '../../../src/cas/local/local-blob-store.ts'
import { nameBlob } from '../../../src/cas/verified-blob.ts'
import { digestFor, hasCode, readAll } from '../../contract/blob-store-contract.ts'

const writerScript = join(import.meta.dirname, 'crash-writer.ts')

/** Lets a process store blobs and kills it. Returns what it had acknowledged. */
async function killWhileWriting(
  directory: string,
  options: object,
  killAfterMs: number,
): Promise<Digest[]> {
  const child = spawn(process.execPath, [writerScript, directory, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  const acknowledged: Digest[] = []
  let isOpen = false
  for await (const line of createInterface({ input: child.stdout })) {
    const [hash = '', size] = line.split(' ')
    if (isOpen && size === undefined) assert.fail(`unexpected line ${line}`)
    if (!isOpen) {
      assert.equal(line, 'open')
      isOpen = true
      // The moment of the kill is meant to be arbitrary; nothing waits for it.
      void delay(killAfterMs).then(() => child.kill('SIGKILL'))
    } else if (hash.length === 64 && line.length > 65) {
      acknowledged.push({ function: 'SHA256', hash, sizeBytes: Number(size) })
    }
  }
  const [, signal] = await closed
  assert.equal(signal, 'SIGKILL')
  return acknowledged
}

async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(join(directory, 'blobs'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => basename(entry.name))
    .sort()
}

function rowsWithFile(directory: string): string[] {
  const database = new Database(join(directory, 'cas.sqlite'), { readonly: true })
  const rows = database
    .prepare<[], string>('SELECT lower(hex(sha256)) FROM blobs WHERE data IS NULL ORDER BY 1')
    .pluck()
    .all() as string[]
  database.close()
  return rows
}

async function assertConsistent(directory: string, acknowledged: readonly Digest[]): Promise<void> {
  await using store = await LocalBlobStore.open(directory)
  assert.deepEqual(await readdir(join(directory, 'tmp')), [])
  assert.deepEqual(await filesOf(directory), rowsWithFile(directory))
  for (const digest of acknowledged) {
    const found = digestFor(await readAll(store, digest))
    assert.deepEqual(found, digest)
  }
  const database = new Database(join(directory, 'cas.sqlite'), { readonly: true })
  const sum = database.prepare('SELECT count(*) AS blobs, sum(size_bytes) AS sizeBytes FROM blobs')
  const { blobs, sizeBytes } = store.stats()
  assert.deepEqual(sum.get(), { blobs, sizeBytes: blobs === 0 ? null : sizeBytes })
  database.close()
}

test('what was acknowledged survives SIGKILL, and nothing else stays', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-crash-'))
  try {
    let acknowledgedInAll = 0
    for (let round = 0; round < 20; round++) {
      const acknowledged = await killWhileWriting(directory, {}, Math.random() * 120)
      acknowledgedInAll += acknowledged.length
      await assertConsistent(directory, acknowledged)
    }
    assert.ok(acknowledgedInAll > 0)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a process killed while it evicts leaves files and rows in agreement', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-crash-'))
  const options = { sizeBytesMax: 4_000_000, protectionMs: 0 }
  try {
    for (let round = 0; round < 6; round++) {
      await killWhileWriting(directory, options, 50 + Math.random() * 150)
      await assertConsistent(directory, [])
    }
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('names in the journal are reconciled at start, and only these', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-crash-'))
  try {
    const kept = Buffer.alloc(50_000, 'kept')
    const cut = Buffer.alloc(50_000, 'cut')
    const orphan = 'ab'.repeat(32)
    {
      await using store = await LocalBlobStore.open(directory)
      await store.putBatch([nameBlob(Buffer.from(kept)), nameBlob(Buffer.from(cut))])
    }
    const pathOf = (sha256: string) => join(directory, 'blobs', sha256.slice(0, 2), sha256)
    await writeFile(pathOf(digestFor(cut).hash), 'half written')
    await mkdir(join(directory, 'blobs', 'ab'), { recursive: true })
    await writeFile(pathOf(orphan), 'no row')
    const names = [digestFor(kept).hash, digestFor(cut).hash, orphan]
    // The last line was cut off by the crash.
    await writeFile(join(directory, 'pending'), `${names.join('\n')}\n${'cd'.repeat(20)}`)
    await using store = await LocalBlobStore.open(directory)
    assert.deepEqual(await filesOf(directory), [digestFor(kept).hash])
    assert.deepEqual(await readAll(store, digestFor(kept)), kept)
    assert.deepEqual(await store.findMissing([digestFor(cut)]), [digestFor(cut)])
    assert.equal(store.stats().blobs, 1)
    // The journal works on after the cut line.
    await store.putBatch([nameBlob(Buffer.from(cut))])
    assert.deepEqual(await readAll(store, digestFor(cut)), cut)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a second process, or a second store, on the same directory is refused', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-crash-'))
  try {
    await using first = await LocalBlobStore.open(directory)
    await assert.rejects(LocalBlobStore.open(directory), hasCode('FAILED_PRECONDITION'))
    const child = spawn(process.execPath, [writerScript, directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    const [code] = await once(child, 'close')
    assert.notEqual(code, 0)
    assert.match(errors, /is in use by another process/)
    await first[Symbol.asyncDispose]()
    await using second = await LocalBlobStore.open(directory)
    assert.equal(second.stats().blobs, 0)
  } finally {
    await rm(directory, { recursive: true })
  }
})
