import { AssetError } from '../asset/errors.ts'

export interface FetchSlotsOptions {
  /** Fetches at once, all hosts together. */
  readonly concurrency: number
  /** Fetches at once from one host. */
  readonly perHost: number
  /** Fetches that may wait for a slot. */
  readonly queueMax: number
}

interface Waiting {
  readonly host: string
  readonly start: () => void
}

/**
 * Limits how many fetches run at once. Those that find no slot wait in order of arrival; one whose
 * host is busy does not hold up the others.
 */
export class FetchSlots {
  readonly #options: FetchSlotsOptions
  readonly #runningByHost = new Map<string, number>()
  #running = 0
  #queue: Waiting[] = []

  constructor(options: FetchSlotsOptions) {
    this.#options = options
  }

  get running(): number {
    return this.#running
  }

  /**
   * Waits for a slot; dispose of it to give it back.
   * @throws AssetError RESOURCE_EXHAUSTED if the queue is full; the signal's reason if it fires.
   */
  async take(host: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#isFree(host)) return this.#occupy(host)
    if (this.#queue.length >= this.#options.queueMax) {
      throw new AssetError(
        'RESOURCE_EXHAUSTED',
        `${this.#options.queueMax} fetches are waiting already (fetch.queue)`,
      )
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        host,
        start: () => {
          signal.removeEventListener('abort', leave)
          resolve(this.#occupy(host))
        },
      }
      const leave = () => {
        this.#queue = this.#queue.filter((other) => other !== waiting)
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#queue.push(waiting)
    })
  }

  #isFree(host: string): boolean {
    const { concurrency, perHost } = this.#options
    return this.#running < concurrency && (this.#runningByHost.get(host) ?? 0) < perHost
  }

  #occupy(host: string): Disposable {
    this.#running += 1
    this.#runningByHost.set(host, (this.#runningByHost.get(host) ?? 0) + 1)
    let isHeld = true
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return
        isHeld = false
        this.#release(host)
      },
    }
  }

  #release(host: string): void {
    this.#running -= 1
    const left = (this.#runningByHost.get(host) ?? 1) - 1
    if (left === 0) this.#runningByHost.delete(host)
    else this.#runningByHost.set(host, left)
    const next = this.#queue.findIndex((waiting) => this.#isFree(waiting.host))
    if (next >= 0) this.#queue.splice(next, 1)[0]?.start()
  }
}
