import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { siblingModule } from '../../util/sibling-module.ts'
import { storageError } from '../../util/writer-messages.ts'
import { WriterThread } from '../../util/writer-thread.ts'
import {
  type AssetIndex,
  type AssetIndexStats,
  type AssetKey,
  type AssetRow,
  supersetsMax,
} from '../asset-index.ts'
import { isProperSuperset } from '../asset-key-match.ts'
import { type AssetIndexCalls, scopeKeyName, type WriterData } from './asset-index-calls.ts'
import { exactKey, uriKey } from './asset-keys.ts'
import { type AssetRecord, fromRecord, toRecord } from './asset-record.ts'

/**
 * The asset index in one SQLite file. This thread only reads, which takes some microseconds; a
 * thread of its own writes, so that no request waits for a lock or for the disk.
 */
export class SqliteAssetIndex implements AssetIndex {
  readonly scopeKey: Uint8Array
  readonly #writer: WriterThread<AssetIndexCalls>
  readonly #database: Database.Database
  readonly #findExact: Database.Statement<[Buffer], AssetRecord>
  readonly #findPushed: Database.Statement<[Buffer, number], AssetRecord>

  /**
   * Opens the index at a path, making or migrating it as needed.
   * @throws AssetError FAILED_PRECONDITION if a newer version has made it
   */
  static async open(data: WriterData): Promise<SqliteAssetIndex> {
    await mkdir(dirname(data.path), { recursive: true })
    const writer = await WriterThread.start<AssetIndexCalls>({
      label: 'asset index',
      module: siblingModule(import.meta.url, 'asset-index-writer'),
      data,
    })
    return new SqliteAssetIndex(writer, new Database(data.path, { readonly: true }))
  }

  private constructor(writer: WriterThread<AssetIndexCalls>, database: Database.Database) {
    this.#writer = writer
    this.#database = database
    this.#findExact = database.prepare(
      'SELECT * FROM assets WHERE key = ? ORDER BY retrieved_at_ms DESC',
    )
    this.#findPushed = database.prepare(
      `SELECT * FROM assets WHERE uri_key = ? AND source = 'pushed'
       ORDER BY retrieved_at_ms DESC LIMIT ?`,
    )
    const setting = database
      .prepare<[string], { value: Buffer }>('SELECT value FROM settings WHERE name = ?')
      .get(scopeKeyName)
    if (!setting) throw new Error('the asset index has no scope key')
    this.scopeKey = setting.value
  }

  async find(key: AssetKey): Promise<readonly AssetRow[]> {
    return this.#read(() => this.#findExact.all(exactKey(key))).map(fromRecord)
  }

  async findPushedSupersets(key: AssetKey): Promise<readonly AssetRow[]> {
    const records = this.#read(() => this.#findPushed.all(uriKey(key), supersetsMax))
    return records.map(fromRecord).filter((row) => isProperSuperset(row.qualifiers, key.qualifiers))
  }

  put(rows: readonly AssetRow[]): Promise<void> {
    return this.#writer.call('put', rows.map(toRecord))
  }

  async stats(): Promise<AssetIndexStats> {
    return { assets: await this.#writer.call('count', undefined) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close()
    await this.#writer[Symbol.asyncDispose]()
  }

  #read<T>(query: () => T): T {
    try {
      return query()
    } catch (error) {
      throw storageError(error)
    }
  }
}
