import type Database from 'better-sqlite3'
import type { Digest } from '../../asset/digest.ts'
import type { ActionResults } from '../action-results.ts'
import type { CasWriterThread } from './cas-writes.ts'
import type { LastUses } from './last-uses.ts'

export interface LocalActionResultsParts {
  readonly database: Database.Database
  readonly writer: CasWriterThread
  readonly uses: LastUses
  readonly clock: () => number
}

interface ResultRow {
  readonly id: number
  readonly result: Buffer
}

/** ActionResults in the database of the local store, which opens and closes it. */
export class LocalActionResults implements ActionResults {
  readonly #parts: LocalActionResultsParts
  readonly #find: Database.Statement<[string, string, Buffer, number], ResultRow>

  constructor(parts: LocalActionResultsParts) {
    this.#parts = parts
    this.#find = parts.database.prepare(
      `SELECT id, result FROM action_results
       WHERE instance = ? AND function = ? AND hash = ? AND size_bytes = ?`,
    )
  }

  async get(instance: string, action: Digest): Promise<Uint8Array | undefined> {
    const hash = Buffer.from(action.hash, 'hex')
    const row = this.#find.get(instance, action.function, hash, action.sizeBytes)
    if (row) this.#parts.uses.touchActionResult(row.id)
    return row?.result
  }

  async put(instance: string, action: Digest, result: Uint8Array): Promise<void> {
    // A copy, since to send a view would send all of its buffer.
    const copy = new Uint8Array(result)
    const input = {
      instance,
      function: action.function,
      hash: action.hash,
      sizeBytes: action.sizeBytes,
      result: copy,
      nowMs: this.#parts.clock(),
    }
    await this.#parts.writer.call('putActionResult', input, [copy.buffer])
  }
}
