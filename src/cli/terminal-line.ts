import { stripVTControlCharacters } from 'node:util'

/** A line at the foot of a terminal that is written over; nothing anywhere else. */
export class TerminalLine implements Disposable {
  readonly #stream: NodeJS.WriteStream | undefined
  #isShown = false

  constructor() {
    // A line that is written over and over is of no use in the log of a CI, even on a terminal.
    if (process.stderr.isTTY && !process.env.CI) this.#stream = process.stderr
  }

  show(text: string): void {
    if (!this.#stream) return
    this.#isShown = true
    const line = stripVTControlCharacters(text).slice(0, (this.#stream.columns || 80) - 1)
    this.#stream.write(`\r\u001b[K${line}`)
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#stream?.write('\r\u001b[K')
    this.#isShown = false
  }
}
