import { join } from 'node:path'
import Database from 'better-sqlite3'
import { applyMigrations, migrationsDirectory } from '../../util/sqlite-migrations.ts'
import { serveWriter } from '../../util/writer-thread-host.ts'
import { BlobFiles } from './blob-files.ts'
import { CasWriter } from './cas-writer.ts'
import type { CasTotals, CasWrites } from './cas-writes.ts'
import type { CasWriterData } from './local-store-options.ts'
import { PendingJournal } from './pending-journal.ts'

// Content of 4 to 16 KiB takes half as many pages, each a frame of the log, as with 4 KiB ones.
const pageBytes = 8192
// 16 MiB of log before it is copied into the database: callers wait while that is done.
const checkpointPages = (16 * 1024 ** 2) / pageBytes
const logBytesKept = 64 * 1024 ** 2

serveWriter<CasWriterData, CasWrites, CasTotals>((options) => {
  const { directory } = options
  const isStrict = options.durability === 'strict'
  const database = new Database(join(directory, 'cas.sqlite'))
  database.pragma(`page_size = ${pageBytes}`)
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${isStrict ? 'FULL' : 'NORMAL'}`)
  database.pragma(`wal_autocheckpoint = ${checkpointPages}`)
  database.pragma(`journal_size_limit = ${logBytesKept}`)
  database.pragma('cache_size = -16384')
  applyMigrations(database, migrationsDirectory('cas'))
  const files = new BlobFiles(directory, isStrict)
  files.sweepTemporary()
  const journal = new PendingJournal(join(directory, 'pending'), isStrict)
  const writer = new CasWriter({ database, files, journal, options })
  database.transaction(() => writer.start()).immediate()
  writer.afterGroup(true)
  return {
    database,
    handlers: writer,
    afterGroup: (isClean) => writer.afterGroup(isClean),
    notice: () => writer.totals(),
    close: () => writer.close(),
  }
})
