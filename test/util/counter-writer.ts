import Database from 'better-sqlite3'
import { AssetError } from '../../src/asset/errors.ts'
import { serveWriter } from '../../src/util/writer-thread-host.ts'

/** A host with one table, for the test of the harness. */
export interface CounterWrites {
  add(input: { name: string; size: number }): number
  /** Writes, and then fails. */
  addAndFail(input: { name: string }): void
  sum(input: { bytes: Uint8Array }): number
  exit(input: object): void
}

export interface CounterNotice {
  readonly rows: number
  readonly groups: number
}

serveWriter<{ path: string }, CounterWrites, CounterNotice>(({ path }) => {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec('CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, size INTEGER) STRICT')
  const insert = database.prepare<[string, number]>('INSERT INTO items VALUES (?, ?)')
  const count = database.prepare('SELECT count(*) FROM items').pluck()
  const countRows = () => count.get() as number
  let groups = 0
  return {
    database,
    handlers: {
      add: ({ name, size }) => {
        insert.run(name, size)
        return countRows()
      },
      addAndFail: ({ name }) => {
        insert.run(name, 0)
        throw new AssetError('RESOURCE_EXHAUSTED', `no room for ${name}`)
      },
      sum: ({ bytes }) => bytes.reduce((sum, byte) => sum + byte, 0),
      exit: () => process.exit(3),
    },
    afterGroup: () => {
      groups += 1
    },
    notice: () => ({ rows: countRows(), groups }),
  }
})
