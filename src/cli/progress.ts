import { TerminalLine } from './terminal-line.ts'

const intervalMs = 100
const waitIntervalMs = 1000

/** Says on a terminal how far a transfer is. */
export class Progress implements Disposable {
  readonly #name: string
  readonly #totalBytes: number
  readonly #line = new TerminalLine()
  readonly #startedMs = performance.now()
  #bytes = 0
  #shownMs = 0

  constructor(name: string, totalBytes: number) {
    this.#name = name
    this.#totalBytes = totalBytes
  }

  add(bytes: number): void {
    this.#bytes += bytes
    const now = performance.now()
    if (now - this.#shownMs < intervalMs) return
    this.#shownMs = now
    const rate = this.#bytes / Math.max(0.001, (now - this.#startedMs) / 1000)
    const done = `${mebibytes(this.#bytes)} of ${mebibytes(this.#totalBytes)}`
    this.#line.show(`${this.#name}  ${done}  ${mebibytes(rate)}/s`)
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}

/**
 * Says on a terminal for how long the server has been working on something, which it does not tell
 * the progress of. Dispose of it when the answer is there.
 */
export function showWaiting(name: string): Disposable {
  const line = new TerminalLine()
  const startedMs = performance.now()
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - startedMs) / 1000)
    line.show(`${name}  the server is working on it, ${seconds} s`)
  }, waitIntervalMs)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      line[Symbol.dispose]()
    },
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}
