import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { BlobName } from './acknowledged.ts'

export interface StoredBlob extends BlobName {
  readonly id: number
}

interface BlobRow {
  readonly id: number
  readonly hash: string
  readonly sizeBytes: number
  readonly isFile: number
}

/**
 * Looks into the data directory of a server that has nothing to do: no temporary file is left, each
 * file belongs to a row and has its size, each row has its bytes, and the totals are right.
 * Returns all blobs, the oldest first.
 */
export async function assertStoreIsConsistent(dataDir: string): Promise<StoredBlob[]> {
  const directory = join(dataDir, 'cas')
  assert.deepEqual(await readdir(join(directory, 'tmp')), [])
  using database = openReadOnly(join(directory, 'cas.sqlite'))
  const rows = database.all<BlobRow>(
    `SELECT id, lower(hex(sha256)) AS hash, size_bytes AS sizeBytes, data IS NULL AS isFile
     FROM blobs WHERE data IS NULL OR length(data) = size_bytes ORDER BY id`,
  )
  const [totals] = database.all<{ blobs: number; sizeBytes: number }>(
    'SELECT blobs, size_bytes AS sizeBytes FROM state',
  )
  const sizeBytes = rows.reduce((sum, row) => sum + row.sizeBytes, 0)
  assert.deepEqual(totals, { blobs: rows.length, sizeBytes })
  const expected = rows.filter((row) => row.isFile).map((row) => `${row.hash} ${row.sizeBytes}`)
  assert.deepEqual(await blobFiles(directory), expected.sort())
  return rows.map(({ id, hash, sizeBytes }) => ({ id, hash, sizeBytes }))
}

/** SQLite's own check of both databases. */
export function assertDatabasesAreSound(dataDir: string): void {
  for (const path of [join('cas', 'cas.sqlite'), 'assets.db']) {
    assert.ok(existsSync(join(dataDir, path)), path)
    using database = openReadOnly(join(dataDir, path))
    assert.deepEqual(database.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  }
}

/** Hash and size of each file, sorted. */
async function blobFiles(directory: string): Promise<string[]> {
  const options = { recursive: true, withFileTypes: true } as const
  const entries = await readdir(join(directory, 'blobs'), options)
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(({ parentPath, name }) => stat(join(parentPath, name))))
  return files.map(({ name }, index) => `${name} ${sizes[index]?.size}`).sort()
}

function openReadOnly(path: string) {
  const database = new Database(path, { readonly: true })
  return {
    all: <Row>(sql: string) => database.prepare<[], Row>(sql).all(),
    [Symbol.dispose]: () => void database.close(),
  }
}
