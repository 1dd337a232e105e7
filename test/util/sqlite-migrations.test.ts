import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { applyMigrations, migrationsDirectory } from '../../src/util/sqlite-migrations.ts'
import { hasCode } from '../contract/blob-store-contract.ts'

interface Fixture {
  readonly database: Database.Database
  readonly directory: string
  readonly write: (name: string, sql: string) => Promise<void>
}

async function withDatabase(body: (fixture: Fixture) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'larder-migrations-'))
  const database = new Database(':memory:')
  try {
    const write = (name: string, sql: string) => writeFile(join(directory, name), sql)
    await write('0001-first.sql', 'CREATE TABLE first (a INTEGER); INSERT INTO first VALUES (1);')
    await body({ database, directory, write })
  } finally {
    database.close()
    await rm(directory, { recursive: true })
  }
}

test('each file is applied once, in order', () =>
  withDatabase(async ({ database, directory, write }) => {
    applyMigrations(database, directory)
    await write('0010-third.sql', 'INSERT INTO second SELECT a + 1 FROM first')
    await write('0002-second.sql', 'CREATE TABLE second (b INTEGER)')
    await write('readme.txt', 'not SQL')
    applyMigrations(database, directory)
    applyMigrations(database, directory)
    assert.deepEqual(database.prepare('SELECT b FROM second').pluck().all(), [2])
    assert.deepEqual(database.prepare('SELECT a FROM first').pluck().all(), [1])
  }))

test('a database of a newer version is refused', () =>
  withDatabase(async ({ database, directory, write }) => {
    await write('0002-second.sql', 'CREATE TABLE second (b INTEGER)')
    applyMigrations(database, directory)
    await rm(join(directory, '0002-second.sql'))
    const apply = () => applyMigrations(database, directory)
    assert.throws(apply, hasCode('FAILED_PRECONDITION'))
    assert.throws(apply, /newer version \(migration 0002-second\.sql\)/)
  }))

test('a file that was changed after it had been applied is refused', () =>
  withDatabase(async ({ database, directory, write }) => {
    applyMigrations(database, directory)
    await write('0001-first.sql', 'CREATE TABLE first (a TEXT)')
    assert.throws(() => applyMigrations(database, directory), hasCode('FAILED_PRECONDITION'))
  }))

test('if one file fails, none of them is applied', () =>
  withDatabase(async ({ database, directory, write }) => {
    await write('0002-second.sql', 'CREATE TABLE second (b INTEGER); SELECT nonsense;')
    assert.throws(() => applyMigrations(database, directory), /nonsense/)
    const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck()
    assert.equal(tables.get(), 0)
    await write('0002-second.sql', 'CREATE TABLE second (b INTEGER)')
    applyMigrations(database, directory)
  }))

test('the migrations that the package ships are found', () => {
  assert.ok(existsSync(join(migrationsDirectory('cas'), '0001-blobs-and-action-results.sql')))
})
