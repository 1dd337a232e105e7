import { AssetError } from '../../asset/errors.ts'
import type { BlobLookup, EvictionCandidate } from './blob-lookup.ts'
import type { CasWriterThread } from './cas-writes.ts'
import type { LastUses } from './last-uses.ts'

// Look-up and deletion of so many take a few milliseconds, each in its own thread.
const sliceBlobs = 256

// Eviction starts in the background before the limit is reached, so that no write has to wait.
const highWater = 0.99
const lowWater = 0.98

export interface EvictorOptions {
  readonly writer: CasWriterThread
  readonly lookup: BlobLookup
  readonly uses: LastUses
  readonly heldBytes: () => number
  readonly sizeBytesMax: number
  readonly protectionMs: number
  readonly touchGranularityMs: number
  readonly clock: () => number
  /** The value of the eviction counter when the store was opened. */
  readonly firstCounter: number
}

/**
 * Keeps the store below its limit by deleting what was not used for longest. Content goes in two
 * steps: first nobody is told any more that it is held, then the writer deletes it, unless it has
 * come in use before. So content that was reported as present a moment ago is not deleted.
 */
export class Evictor implements AsyncDisposable {
  readonly #options: EvictorOptions
  #counter: number
  #reservedBytes = 0
  #running: Promise<number> | undefined
  #isScheduled = false
  #isClosing = false

  constructor(options: EvictorOptions) {
    this.#options = options
    this.#counter = options.firstCounter
  }

  get counter(): number {
    return this.#counter
  }

  /** Call before content goes away other than by eviction. */
  raiseCounter(): void {
    this.#counter += 1
  }

  /**
   * Reserves space for new content, evicting older if need be. Dispose of the reservation when the
   * content has been stored.
   * @throws AssetError RESOURCE_EXHAUSTED if nothing more may be evicted.
   */
  async makeRoom(sizeBytes: number): Promise<Disposable> {
    const { sizeBytesMax, heldBytes } = this.#options
    const fits = () => heldBytes() + this.#reservedBytes + sizeBytes <= sizeBytesMax
    if (sizeBytes > sizeBytesMax) throw this.#fullError(sizeBytes)
    while (!fits()) {
      // A run that others began may have wanted less; and while ours waited, others may have ended.
      const isOurs = this.#running === undefined
      const target = Math.min(sizeBytesMax * lowWater, sizeBytesMax - sizeBytes)
      const chosen = await this.#evictTo(target)
      if (chosen === 0 && isOurs && !fits()) throw this.#fullError(sizeBytes)
    }
    this.#reservedBytes += sizeBytes
    return {
      [Symbol.dispose]: () => {
        this.#reservedBytes -= sizeBytes
      },
    }
  }

  /** Call after content has been stored. */
  evictInBackground(): void {
    if (this.#isScheduled || !this.#isAbove(highWater)) return
    this.#isScheduled = true
    // Not at once: the writers of that content are about to give back their reservations.
    setImmediate(() => {
      this.#isScheduled = false
      if (this.#running || this.#isClosing || !this.#isAbove(highWater)) return
      // If the writer has died, the next write tells it.
      this.#evictTo(this.#options.sizeBytesMax * lowWater).catch(() => 0)
    })
  }

  /** Lets a running eviction end, and begins no other. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    await this.#running?.catch(() => 0)
  }

  #isAbove(share: number): boolean {
    return this.#options.heldBytes() > this.#options.sizeBytesMax * share
  }

  #evictTo(targetBytes: number): Promise<number> {
    this.#running ??= this.#run(targetBytes).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Returns how many blobs were chosen. */
  async #run(targetBytes: number): Promise<number> {
    const { uses, heldBytes, clock, protectionMs, touchGranularityMs } = this.#options
    let chosen = 0
    while (!this.#isClosing && heldBytes() + this.#reservedBytes > targetBytes) {
      await uses.flush()
      const usedBeforeMs = clock() - protectionMs - touchGranularityMs
      const blobs = this.#choose(usedBeforeMs, heldBytes() + this.#reservedBytes - targetBytes)
      if (blobs.length === 0) break
      chosen += blobs.length
      await this.#evict(blobs, usedBeforeMs)
    }
    return chosen
  }

  #choose(usedBeforeMs: number, sizeBytes: number): EvictionCandidate[] {
    const chosen: EvictionCandidate[] = []
    let chosenBytes = 0
    for (const candidate of this.#options.lookup.oldest(usedBeforeMs, sliceBlobs)) {
      if (chosenBytes >= sizeBytes) break
      if (this.#options.uses.isUnwritten(candidate.id)) continue
      chosen.push(candidate)
      chosenBytes += candidate.sizeBytes
    }
    return chosen
  }

  async #evict(blobs: readonly EvictionCandidate[], usedBeforeMs: number): Promise<void> {
    const { lookup, writer } = this.#options
    const blobIds = blobs.map((blob) => blob.id)
    this.#counter += 1
    for (const id of blobIds) lookup.dying.add(id)
    try {
      await writer.call('evict', { blobIds, usedBeforeMs })
    } finally {
      for (const id of blobIds) lookup.dying.delete(id)
    }
  }

  #fullError(sizeBytes: number): AssetError {
    const { sizeBytesMax, heldBytes, protectionMs } = this.#options
    const minutes = Math.ceil(protectionMs / 60_000)
    return new AssetError(
      'RESOURCE_EXHAUSTED',
      `the store is full: ${sizeBytes} bytes do not fit, ${heldBytes()} of ${sizeBytesMax} bytes ` +
        `are in use, and what was used within ${minutes} minutes is not evicted; raise the size limit`,
    )
  }
}
