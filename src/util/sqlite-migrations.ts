import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type Database from 'better-sqlite3'
import { AssetError } from '../asset/errors.ts'

interface Migration {
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

interface AppliedMigration {
  readonly name: string
  readonly checksum: string
}

/** The folder of a database's migrations; the same from `src/` and from `dist/`. */
export function migrationsDirectory(...path: string[]): string {
  return join(fileURLToPath(new URL('../../migrations', import.meta.url)), ...path)
}

/**
 * Brings a database up to date with the numbered SQL files of a folder, all or none. Several
 * processes may start at once: the second waits for the lock and finds the work done.
 * @throws AssetError FAILED_PRECONDITION if the database is newer than the folder, or was made by
 * files that have changed since.
 */
export function applyMigrations(database: Database.Database, directory: string): void {
  const migrations = readMigrations(directory)
  database.exec('BEGIN IMMEDIATE')
  try {
    database.exec(
      `CREATE TABLE IF NOT EXISTS migrations (
         name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at_ms INTEGER NOT NULL
       ) STRICT`,
    )
    const applied = database
      .prepare<[], AppliedMigration>('SELECT name, checksum FROM migrations ORDER BY name')
      .all()
    for (const row of applied) assertKnown(row, migrations, database.name)
    const names = new Set(applied.map((row) => row.name))
    const record = database.prepare('INSERT INTO migrations VALUES (?, ?, ?)')
    for (const migration of migrations) {
      if (names.has(migration.name)) continue
      database.exec(migration.sql)
      record.run(migration.name, migration.checksum, Date.now())
    }
    database.exec('COMMIT')
  } catch (error) {
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function assertKnown(
  applied: AppliedMigration,
  migrations: readonly Migration[],
  database: string,
): void {
  const known = migrations.find((migration) => migration.name === applied.name)
  if (!known) {
    throw new AssetError(
      'FAILED_PRECONDITION',
      `${database} was made by a newer version (migration ${applied.name}); use that version`,
    )
  }
  if (known.checksum !== applied.checksum) {
    throw new AssetError(
      'FAILED_PRECONDITION',
      `migration ${applied.name} has changed since it was applied to ${database}`,
    )
  }
}

function readMigrations(directory: string): Migration[] {
  const names = readdirSync(directory).filter((name) => /^\d{4}-.+\.sql$/.test(name))
  return names.sort().map((name) => {
    const sql = readFileSync(join(directory, name), 'utf8')
    return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
  })
}
