import type Database from 'better-sqlite3'
import type { CasWrites } from './cas-writes.ts'
import type { CasWriterData } from './local-store-options.ts'

// Each new result makes room for itself; a few more, so that lowered limits take effect in time.
const evictionsPerPutMax = 64

interface HeldResult {
  readonly id: number
  readonly resultBytes: number
}

interface ActionTotals {
  readonly rows: number
  readonly resultBytes: number
}

/** The writer thread's part in action results: stores them and evicts the least used. */
export class ActionResultWriter {
  readonly #options: CasWriterData
  readonly #statements: ReturnType<typeof prepareStatements>

  constructor(database: Database.Database, options: CasWriterData) {
    this.#options = options
    this.#statements = prepareStatements(database)
  }

  put(input: Parameters<CasWrites['putActionResult']>[0]): void {
    const hash = Buffer.from(input.hash, 'hex')
    const key = [input.instance, input.function, hash, input.sizeBytes] as const
    const held = this.#statements.find.get(...key)
    if (held) this.#delete(held)
    this.#statements.insert.run(...key, input.nowMs, input.result)
    this.#statements.count.run(1, input.result.byteLength)
    this.#evict()
  }

  touch(uses: ReadonlyMap<number, number>): void {
    for (const [id, usedMs] of uses) {
      this.#statements.touch.run(usedMs, id, usedMs - this.#options.touchGranularityMs)
    }
  }

  #evict(): void {
    for (let round = 0; round < evictionsPerPutMax; round++) {
      const totals = this.#statements.totals.get()
      if (!totals || totals.rows <= 1) return
      const { actionResultsMax, actionResultBytesMax } = this.#options
      if (totals.rows <= actionResultsMax && totals.resultBytes <= actionResultBytesMax) return
      const oldest = this.#statements.oldest.get()
      if (!oldest) return
      this.#delete(oldest)
    }
  }

  #delete(held: HeldResult): void {
    this.#statements.delete.run(held.id)
    this.#statements.count.run(-1, -held.resultBytes)
  }
}

function prepareStatements(database: Database.Database) {
  return {
    find: database.prepare<[string, string, Buffer, number], HeldResult>(
      `SELECT id, length(result) AS resultBytes FROM action_results
       WHERE instance = ? AND function = ? AND hash = ? AND size_bytes = ?`,
    ),
    insert: database.prepare<[string, string, Buffer, number, number, Uint8Array]>(
      `INSERT INTO action_results (instance, function, hash, size_bytes, last_used_ms, result)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    oldest: database.prepare<[], HeldResult>(
      `SELECT id, length(result) AS resultBytes FROM action_results
       ORDER BY last_used_ms, id LIMIT 1`,
    ),
    touch: database.prepare<[number, number, number]>(
      'UPDATE action_results SET last_used_ms = ? WHERE id = ? AND last_used_ms < ?',
    ),
    delete: database.prepare<[number]>('DELETE FROM action_results WHERE id = ?'),
    count: database.prepare<[number, number]>(
      `UPDATE state SET action_results = action_results + ?,
         action_result_bytes = action_result_bytes + ?`,
    ),
    totals: database.prepare<[], ActionTotals>(
      'SELECT action_results AS rows, action_result_bytes AS resultBytes FROM state',
    ),
  }
}
