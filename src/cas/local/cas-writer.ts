import type Database from 'better-sqlite3'
import { ActionResultWriter } from './action-result-writer.ts'
import type { BlobFiles } from './blob-files.ts'
import type { CasTotals, CasWrites, ExtraName, LastUseTimes, NewBlob } from './cas-writes.ts'
import type { CasWriterData } from './local-store-options.ts'
import type { PendingJournal } from './pending-journal.ts'

interface BlobRow {
  readonly sha256: Buffer
  readonly sizeBytes: number
  readonly isFile: number
}

export interface CasWriterParts {
  readonly database: Database.Database
  readonly files: BlobFiles
  readonly journal: PendingJournal
  readonly options: CasWriterData
}

/** All that writes to the local store. Each call runs inside a transaction of its thread. */
export class CasWriter implements CasWrites {
  readonly #files: BlobFiles
  readonly #journal: PendingJournal
  readonly #inlineSizeBytesMax: number
  readonly #touchGranularityMs: number
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #actionResults: ActionResultWriter
  /** Files that this group has created or that lost their row in it. */
  #created: string[] = []
  #deleted: string[] = []
  #tempNames: string[] = []

  constructor(parts: CasWriterParts) {
    this.#files = parts.files
    this.#journal = parts.journal
    this.#inlineSizeBytesMax = parts.options.inlineSizeBytesMax
    this.#touchGranularityMs = parts.options.touchGranularityMs
    this.#statements = prepareStatements(parts.database)
    this.#actionResults = new ActionResultWriter(parts.database, parts.options)
  }

  putBlobs(input: { blobs: readonly NewBlob[]; nowMs: number }): readonly number[] {
    const held: number[] = []
    const fresh: NewBlob[] = []
    for (const blob of input.blobs) {
      const id = this.#keep(blob.sha256, blob.names, input.nowMs)
      if (id === undefined) fresh.push(blob)
      else held.push(id)
    }
    if (fresh.length === 0) {
      freeMemory(input.blobs)
      return held
    }
    const isLarge = (blob: NewBlob) => blob.data.byteLength > this.#inlineSizeBytesMax
    const large = fresh.filter(isLarge).map((blob) => blob.sha256)
    this.#journal.add(large)
    this.#created.push(...large)
    let id = this.#statements.nextBlobId.get() ?? 1
    let sizeBytes = 0
    for (const blob of fresh) {
      if (isLarge(blob)) this.#files.create(blob.sha256, blob.data)
      const data = isLarge(blob) ? null : blob.data
      this.#insert(id, blob.sha256, blob.data.byteLength, data, blob.names, input.nowMs)
      sizeBytes += blob.data.byteLength
      id += 1
    }
    this.#statements.count.run({ nextBlobId: id, blobs: fresh.length, sizeBytes })
    freeMemory(input.blobs)
    return held
  }

  putFile({ file, nowMs }: Parameters<CasWrites['putFile']>[0]): readonly number[] {
    const held = this.#keep(file.sha256, file.names, nowMs)
    if (held !== undefined) {
      this.#tempNames.push(file.tempName)
      return [held]
    }
    this.#journal.add([file.sha256])
    this.#created.push(file.sha256)
    this.#files.adopt(file.tempName, file.sha256)
    const id = this.#statements.nextBlobId.get() ?? 1
    this.#insert(id, file.sha256, file.sizeBytes, null, file.names, nowMs)
    this.#statements.count.run({ nextBlobId: id + 1, blobs: 1, sizeBytes: file.sizeBytes })
    return []
  }

  addNames({ blobId, names }: Parameters<CasWrites['addNames']>[0]): void {
    const row = this.#statements.blob.get(blobId)
    if (row) this.#insertNames(blobId, row.sizeBytes, names)
  }

  touch({ blobs, actionResults }: LastUseTimes): void {
    for (const [id, usedMs] of blobs) {
      this.#statements.touch.run(usedMs, id, usedMs - this.#touchGranularityMs)
    }
    this.#actionResults.touch(actionResults)
  }

  evict({ blobIds, usedBeforeMs }: Parameters<CasWrites['evict']>[0]): void {
    for (const id of blobIds) {
      const lastUsedMs = this.#statements.lastUsed.get(id)
      if (lastUsedMs !== undefined && lastUsedMs < usedBeforeMs) this.#delete(id)
    }
  }

  dropDamaged({ blobId }: Parameters<CasWrites['dropDamaged']>[0]): void {
    const row = this.#statements.blob.get(blobId)
    if (!row?.isFile) return
    if (this.#files.sizeBytes(row.sha256.toString('hex')) !== row.sizeBytes) this.#delete(blobId)
  }

  putActionResult(input: Parameters<CasWrites['putActionResult']>[0]): void {
    this.#actionResults.put(input)
  }

  totals(): CasTotals {
    const totals = this.#statements.totals.get()
    if (!totals) throw new Error('the state row is missing')
    return totals
  }

  /** Counts an opening, and makes the files agree with the rows after a crash. */
  start(): void {
    this.#statements.open.run()
    const left = new Set(this.#journal.left())
    for (const sha256 of left) {
      const row = this.#statements.bySha256.get(Buffer.from(sha256, 'hex'))
      if (row?.isFile && this.#files.sizeBytes(sha256) !== row.sizeBytes) this.#delete(row.id)
    }
    this.#deleted.push(...left)
  }

  /** After commit or rollback: removes the files that have no row. */
  afterGroup(isClean: boolean): void {
    const suspects = isClean ? this.#deleted : [...this.#deleted, ...this.#created]
    const stuck = new Set(suspects.filter((sha256) => !this.#removeUnlessHeld(sha256)))
    for (const name of this.#tempNames) this.#files.removeTemporary(name)
    this.#created = []
    this.#deleted = [...stuck]
    this.#tempNames = []
    if (stuck.size === 0) this.#journal.clear()
  }

  close(): void {
    this.#journal.close()
  }

  /** Extends the life of a blob, if it is held, and adds names. */
  #keep(sha256: string, names: readonly ExtraName[], nowMs: number): number | undefined {
    const row = this.#statements.bySha256.get(Buffer.from(sha256, 'hex'))
    if (!row) return undefined
    // Content that somebody brings once more also heals a file that has been lost.
    if (row.isFile && this.#files.sizeBytes(sha256) !== row.sizeBytes) {
      this.#delete(row.id)
      return undefined
    }
    this.#statements.touch.run(nowMs, row.id, nowMs)
    this.#insertNames(row.id, row.sizeBytes, names)
    return row.id
  }

  /** False if the file should go and does not; the journal then keeps its name. */
  #removeUnlessHeld(sha256: string): boolean {
    if (this.#statements.bySha256.get(Buffer.from(sha256, 'hex'))?.isFile) return true
    try {
      this.#files.remove(sha256)
      return true
    } catch {
      return false
    }
  }

  #insert(
    id: number,
    sha256: string,
    sizeBytes: number,
    data: Uint8Array | null,
    names: readonly ExtraName[],
    nowMs: number,
  ): void {
    this.#statements.insert.run(id, Buffer.from(sha256, 'hex'), sizeBytes, data)
    this.#statements.insertUse.run(id, nowMs)
    this.#insertNames(id, sizeBytes, names)
  }

  #insertNames(id: number, sizeBytes: number, names: readonly ExtraName[]): void {
    for (const name of names) {
      this.#statements.insertName.run(name.function, Buffer.from(name.hash, 'hex'), id, sizeBytes)
    }
  }

  #delete(id: number): void {
    const row = this.#statements.blob.get(id)
    if (!row) return
    if (row.isFile) {
      const sha256 = row.sha256.toString('hex')
      this.#journal.add([sha256])
      this.#deleted.push(sha256)
    }
    this.#statements.deleteNames.run(id)
    this.#statements.deleteUse.run(id)
    this.#statements.deleteBlob.run(id)
    this.#statements.uncount.run({ sizeBytes: row.sizeBytes })
  }
}

/**
 * Blobs come in memory that was given to this thread. Left to its garbage collector, which sees a
 * few small objects, tens of megabytes of it would be waiting.
 */
function freeMemory(blobs: readonly NewBlob[]): void {
  for (const { data } of blobs) {
    if (data.buffer instanceof ArrayBuffer && !data.buffer.detached) data.buffer.transfer(0)
  }
}

function prepareStatements(database: Database.Database) {
  const run = <Bind extends unknown[]>(sql: string) => database.prepare<Bind>(sql)
  const select = <Bind extends unknown[], Row>(sql: string) => database.prepare<Bind, Row>(sql)
  return {
    bySha256: select<[Buffer], { id: number; sizeBytes: number; isFile: number }>(
      'SELECT id, size_bytes AS sizeBytes, data IS NULL AS isFile FROM blobs WHERE sha256 = ?',
    ),
    blob: select<[number], BlobRow>(
      'SELECT sha256, size_bytes AS sizeBytes, data IS NULL AS isFile FROM blobs WHERE id = ?',
    ),
    lastUsed: select<[number], number>(
      'SELECT last_used_ms FROM blob_uses WHERE blob_id = ?',
    ).pluck() as Database.Statement<[number], number>,
    nextBlobId: select<[], number>('SELECT next_blob_id FROM state').pluck() as Database.Statement<
      [],
      number
    >,
    insert: run<[number, Buffer, number, Uint8Array | null]>(
      'INSERT INTO blobs VALUES (?, ?, ?, ?)',
    ),
    insertUse: run<[number, number]>('INSERT INTO blob_uses VALUES (?, ?)'),
    // The newest blob has the name: an older one can only be a collision in a broken function.
    insertName: run<[string, Buffer, number, number]>(
      `INSERT INTO digests VALUES (?, ?, ?, ?) ON CONFLICT (function, hash)
       DO UPDATE SET blob_id = excluded.blob_id, size_bytes = excluded.size_bytes
       WHERE blob_id <> excluded.blob_id`,
    ),
    touch: run<[number, number, number]>(
      'UPDATE blob_uses SET last_used_ms = ? WHERE blob_id = ? AND last_used_ms < ?',
    ),
    deleteNames: run<[number]>('DELETE FROM digests WHERE blob_id = ?'),
    deleteUse: run<[number]>('DELETE FROM blob_uses WHERE blob_id = ?'),
    deleteBlob: run<[number]>('DELETE FROM blobs WHERE id = ?'),
    count: run<[{ nextBlobId: number; blobs: number; sizeBytes: number }]>(
      `UPDATE state SET next_blob_id = @nextBlobId,
         blobs = blobs + @blobs, size_bytes = size_bytes + @sizeBytes`,
    ),
    uncount: run<[{ sizeBytes: number }]>(
      `UPDATE state SET blobs = blobs - 1, size_bytes = size_bytes - @sizeBytes,
         evicted_blobs = evicted_blobs + 1, evicted_bytes = evicted_bytes + @sizeBytes`,
    ),
    open: run<[]>('UPDATE state SET openings = openings + 1'),
    totals: select<[], CasTotals>(
      `SELECT blobs, size_bytes AS sizeBytes, evicted_blobs AS evictedBlobs,
         evicted_bytes AS evictedBytes, openings FROM state`,
    ),
  }
}
