import { stripVTControlCharacters } from 'node:util'

const intervalMs = 100

/** One line on a terminal that says how far it is; nothing anywhere else. */
export class Progress implements Disposable {
  readonly #name: string
  readonly #totalBytes: number
  readonly #stream: NodeJS.WriteStream | undefined
  readonly #startedMs = performance.now()
  #bytes = 0
  #shownMs = 0

  constructor(name: string, totalBytes: number) {
    this.#name = stripVTControlCharacters(name)
    this.#totalBytes = totalBytes
    // A line that is written over and over is of no use in the log of a CI, even on a terminal.
    if (process.stderr.isTTY && !process.env.CI) this.#stream = process.stderr
  }

  add(bytes: number): void {
    this.#bytes += bytes
    const now = performance.now()
    if (!this.#stream || now - this.#shownMs < intervalMs) return
    this.#shownMs = now
    const rate = this.#bytes / Math.max(0.001, (now - this.#startedMs) / 1000)
    const line = `${this.#name}  ${mebibytes(this.#bytes)} of ${mebibytes(this.#totalBytes)}  ${mebibytes(rate)}/s`
    this.#stream.write(`\r\u001b[K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`)
  }

  [Symbol.dispose](): void {
    if (this.#shownMs > 0) this.#stream?.write('\r\u001b[K')
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}
