import type { CasWriterThread } from './cas-writes.ts'

// 50,000 ids are about 2 MiB of maps, and 0.2 s of work for the writer.
const collectedMax = 50_000

interface Batch {
  readonly blobs: Map<number, number>
  readonly actionResults: Map<number, number>
}

export interface LastUsesOptions {
  readonly writer: CasWriterThread
  readonly intervalMs: number
  readonly clock: () => number
}

/** Collects what was asked for, so that a look-up writes nothing, and tells the writer at times. */
export class LastUses implements AsyncDisposable {
  readonly #options: LastUsesOptions
  readonly #sent = new Set<Batch>()
  #collected = emptyBatch()
  #timer: NodeJS.Timeout | undefined

  constructor(options: LastUsesOptions) {
    this.#options = options
  }

  touchBlob(id: number): void {
    this.#collected.blobs.set(id, this.#options.clock())
    this.#schedule()
  }

  touchActionResult(id: number): void {
    this.#collected.actionResults.set(id, this.#options.clock())
    this.#schedule()
  }

  /** True for a blob whose use is not in the database yet. */
  isUnwritten(id: number): boolean {
    if (this.#collected.blobs.has(id)) return true
    for (const batch of this.#sent) if (batch.blobs.has(id)) return true
    return false
  }

  /** Resolves when all that was collected is written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batch = this.#collected
    if (batch.blobs.size + batch.actionResults.size === 0) return
    this.#collected = emptyBatch()
    this.#sent.add(batch)
    try {
      await this.#options.writer.call('touch', batch)
    } finally {
      this.#sent.delete(batch)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush().catch(ignoreLostUses)
  }

  #schedule(): void {
    if (this.#collected.blobs.size + this.#collected.actionResults.size >= collectedMax) {
      this.flush().catch(ignoreLostUses)
      return
    }
    this.#timer ??= setTimeout(() => {
      this.flush().catch(ignoreLostUses)
    }, this.#options.intervalMs).unref()
  }
}

/** A lost last-used time shortens a life; it must not fail the request that came by. */
function ignoreLostUses(): void {}

function emptyBatch(): Batch {
  return { blobs: new Map(), actionResults: new Map() }
}
