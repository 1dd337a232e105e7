import Database from 'better-sqlite3'
import type { Digest, DigestFunction } from '../../asset/digest.ts'
import { AssetError } from '../../asset/errors.ts'

export interface HeldBlob {
  readonly id: number
  readonly sha256: string
  readonly sizeBytes: number
}

export interface EvictionCandidate {
  readonly id: number
  readonly sizeBytes: number
}

// The index pages of some 200,000 blobs; those of more are in the page cache of the system.
const cacheKib = 16 * 1024

interface NamedRow {
  readonly id: number
  readonly sha256: Buffer
  readonly sizeBytes: number
}

/**
 * The event loop's view of the local store: its own read-only connection. The look-ups of one turn
 * of the event loop share a read transaction, since to begin and end one takes longer than all else
 * that a look-up does. It ends with the turn, so that no open read keeps the writer's log from being
 * reused, and before anyone hears that the writer has committed.
 */
export class BlobLookup implements Disposable {
  readonly #database: Database.Database
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #endOfTurn = () => this.endRead()
  #isClosed = false
  /** Blobs that are being evicted: nobody is told any more that they are held. */
  readonly dying = new Set<number>()

  constructor(path: string) {
    this.#database = new Database(path, { readonly: true })
    this.#database.pragma(`cache_size = -${cacheKib}`)
    this.#statements = prepareStatements(this.#database)
  }

  /** What is looked up from now on is as the writer has last committed. */
  endRead(): void {
    if (!this.#isClosed && this.#database.inTransaction) this.#statements.commit.run()
  }

  /** Undefined if the content is not held, or has another size. */
  find(digest: Digest): HeldBlob | undefined {
    if (digest.function !== 'SHA256') {
      const held = this.findByHash(digest.function, digest.hash)
      return held?.sizeBytes === digest.sizeBytes ? held : undefined
    }
    const id = this.findId(digest)
    return id === undefined ? undefined : { id, sha256: digest.hash, sizeBytes: digest.sizeBytes }
  }

  /** As `find`, without making an object for each digest. */
  findId(digest: Digest): number | undefined {
    this.#beginRead()
    const hash = hashBytesOf(digest.hash)
    const id =
      digest.function === 'SHA256'
        ? this.#statements.bySha256AndSize.get(hash, digest.sizeBytes)
        : this.#statements.byNameAndSize.get(digest.function, hash, digest.sizeBytes)
    return id === undefined || this.dying.has(id) ? undefined : id
  }

  findByHash(digestFunction: DigestFunction, hash: string): HeldBlob | undefined {
    this.#beginRead()
    const bytes = hashBytesOf(hash)
    const row =
      digestFunction === 'SHA256'
        ? this.#statements.bySha256.get(bytes)
        : this.#statements.byName.get(digestFunction, bytes)
    if (!row || this.dying.has(row.id)) return undefined
    return { id: row.id, sha256: row.sha256.toString('hex'), sizeBytes: row.sizeBytes }
  }

  /** The hash that a blob is known by under another function. */
  nameOf(id: number, digestFunction: DigestFunction): string | undefined {
    return this.#statements.nameOfBlob.get(id, digestFunction)?.toString('hex')
  }

  /** The bytes of a small blob, null if they are in a file, undefined if the blob has gone. */
  data(id: number): Buffer | null | undefined {
    this.#beginRead()
    return this.#statements.data.get(id)
  }

  /** Content that was not used since, the oldest first. */
  oldest(usedBeforeMs: number, count: number): EvictionCandidate[] {
    return this.#statements.oldest.all(usedBeforeMs, count)
  }

  /** The database connection, for other tables of the same store. */
  get database(): Database.Database {
    return this.#database
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#database.close()
  }

  #beginRead(): void {
    if (this.#isClosed) throw new AssetError('UNAVAILABLE', 'the CAS is closed')
    if (this.#database.inTransaction) return
    this.#statements.begin.run()
    setImmediate(this.#endOfTurn)
  }
}

// Binding copies the bytes before `get` returns, so one buffer for each length is enough.
const buffers = new Map<number, Buffer>()

function hashBytesOf(hash: string): Buffer {
  let buffer = buffers.get(hash.length)
  if (!buffer) {
    buffer = Buffer.alloc(hash.length / 2)
    buffers.set(hash.length, buffer)
  }
  // Anything but hex would leave bytes of the hash before.
  if (buffer.write(hash, 'hex') !== buffer.byteLength) return Buffer.alloc(0)
  return buffer
}

function prepareStatements(database: Database.Database) {
  return {
    begin: database.prepare('BEGIN'),
    commit: database.prepare('COMMIT'),
    bySha256AndSize: pluck<[Buffer, number], number>(
      database,
      'SELECT id FROM blobs WHERE sha256 = ? AND size_bytes = ?',
    ),
    byNameAndSize: pluck<[string, Buffer, number], number>(
      database,
      'SELECT blob_id FROM digests WHERE function = ? AND hash = ? AND size_bytes = ?',
    ),
    bySha256: database.prepare<[Buffer], NamedRow>(
      'SELECT id, sha256, size_bytes AS sizeBytes FROM blobs WHERE sha256 = ?',
    ),
    byName: database.prepare<[string, Buffer], NamedRow>(
      `SELECT blobs.id, sha256, blobs.size_bytes AS sizeBytes
       FROM digests JOIN blobs ON blobs.id = blob_id WHERE function = ? AND hash = ?`,
    ),
    nameOfBlob: pluck<[number, string], Buffer>(
      database,
      'SELECT hash FROM digests WHERE blob_id = ? AND function = ?',
    ),
    data: pluck<[number], Buffer | null>(database, 'SELECT data FROM blobs WHERE id = ?'),
    oldest: database.prepare<[number, number], EvictionCandidate>(
      `SELECT blobs.id, size_bytes AS sizeBytes FROM blob_uses JOIN blobs ON blobs.id = blob_id
       WHERE last_used_ms < ? ORDER BY last_used_ms LIMIT ?`,
    ),
  }
}

function pluck<Bind extends unknown[], Value>(database: Database.Database, sql: string) {
  return database.prepare(sql).pluck() as unknown as Database.Statement<Bind, Value>
}
