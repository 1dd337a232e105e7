import { randomBytes } from 'node:crypto'
import Database from 'better-sqlite3'
import { applyMigrations, migrationsDirectory } from '../../util/sqlite-migrations.ts'
import { serveWriter } from '../../util/writer-thread-host.ts'
import { scopedRowsMax } from '../asset-index.ts'
import { scopeKeyBytes, scopeKeyName, type WriterData } from './asset-index-calls.ts'
import { type AssetRecord, assetColumns } from './asset-record.ts'

/** The thread that writes the asset index. */
serveWriter((data: WriterData) => {
  const database = new Database(data.path)
  database.pragma('journal_mode = WAL')
  // NORMAL keeps what was committed through a crash of the process; FULL through one of the machine.
  database.pragma(`synchronous = ${data.durability === 'strict' ? 'FULL' : 'NORMAL'}`)
  applyMigrations(database, migrationsDirectory('asset-index', 'sqlite'))
  database
    .prepare('INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(scopeKeyName, randomBytes(scopeKeyBytes))
  const put = putStatement(database)
  const prune = database.prepare<[Uint8Array, number]>(
    `DELETE FROM assets WHERE id IN (
       SELECT id FROM assets WHERE key = ? AND scope <> ''
       ORDER BY retrieved_at_ms DESC, id DESC LIMIT -1 OFFSET ?)`,
  )
  const count = database.prepare<[], { assets: number }>('SELECT count(*) AS assets FROM assets')
  return {
    database,
    handlers: {
      put(records: readonly AssetRecord[]) {
        for (const record of records) {
          put.run(record)
          if (record.scope !== '') prune.run(record.key, scopedRowsMax)
        }
      },
      // Here and not where requests are answered: it reads a whole index.
      count: () => count.get()?.assets ?? 0,
    },
  }
})

function putStatement(database: Database.Database): Database.Statement<[AssetRecord]> {
  const names = assetColumns.map((column) => `@${column}`)
  const updates = assetColumns.map((column) => `${column} = excluded.${column}`)
  return database.prepare(
    `INSERT INTO assets (${assetColumns.join(', ')}) VALUES (${names.join(', ')})
     ON CONFLICT (key, scope) DO UPDATE SET ${updates.join(', ')}`,
  )
}
