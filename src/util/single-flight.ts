/**
 * Shares one running piece of work between all who ask for it by the same key. The work is detached
 * from those who wait: it goes on when the last of them has left, until it ends or its own time is
 * up. Time is extended to the longest that any of them allows.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()

  /** Work that is under way. */
  get size(): number {
    return this.#flights.size
  }

  /**
   * Joins the work of this key, or starts it.
   * @param timeoutMs how long the work may take, from now.
   * @param signal ends this caller's waiting only; the promise then rejects with its reason.
   */
  join(
    key: string,
    timeoutMs: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    let flight = this.#flights.get(key)
    if (!flight) {
      flight = startFlight(work, () => this.#flights.delete(key))
      this.#flights.set(key, flight)
    }
    flight.extend(timeoutMs)
    return waitFor(flight.result, signal)
  }

  /** Ends all work; those who wait are told the reason. */
  abort(reason: Error): void {
    for (const flight of this.#flights.values()) flight.abort(reason)
  }
}

/** 24 days: beyond it, Node's timers fire at once. */
const timerMsMax = 2 ** 31 - 1

interface Flight<T> {
  readonly result: Promise<T>
  extend(timeoutMs: number): void
  abort(reason: Error): void
}

function startFlight<T>(work: (signal: AbortSignal) => Promise<T>, onEnd: () => void): Flight<T> {
  const controller = new AbortController()
  let deadlineMs = 0
  let timer: NodeJS.Timeout | undefined
  // Work that is slow to notice its end must not hold those who wait for it.
  const result = waitFor(work(controller.signal), controller.signal).finally(() => {
    clearTimeout(timer)
    onEnd()
  })
  // Everyone may have left by the time it fails.
  result.catch(() => {})
  return {
    result,
    extend(timeoutMs) {
      const boundMs = Math.min(Math.max(timeoutMs, 0), timerMsMax)
      const wantedMs = performance.now() + boundMs
      if (wantedMs <= deadlineMs) return
      deadlineMs = wantedMs
      clearTimeout(timer)
      timer = setTimeout(
        () => controller.abort(new DOMException('timed out', 'TimeoutError')),
        boundMs,
      )
      timer.unref()
    },
    abort: (reason) => controller.abort(reason),
  }
}

/** The promise's outcome, or the signal's reason if that comes first. */
export function waitFor<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const leave = () => reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}
