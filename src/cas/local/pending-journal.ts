import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'

const sha256Line = /^[0-9a-f]{64}$/

/**
 * Names of the files that the running group of writes creates or deletes. A file and its row cannot
 * change in one step; after a crash between the two, only these names need to be compared, so that
 * neither a file leaks nor a start has to scan all of them.
 */
export class PendingJournal {
  readonly #fd: number
  readonly #isStrict: boolean
  readonly #left: readonly string[]
  #isEmpty: boolean

  constructor(path: string, isStrict: boolean) {
    this.#fd = openSync(path, 'a+', 0o644)
    this.#isStrict = isStrict
    // A line that was cut off by a crash was not acted upon yet.
    const text = readFileSync(path, 'latin1')
    this.#left = text.split('\n').filter((line) => sha256Line.test(line))
    this.#isEmpty = text === ''
  }

  /** What the last run has left behind. */
  left(): readonly string[] {
    return this.#left
  }

  /** Call before the files are touched. */
  add(sha256s: readonly string[]): void {
    if (sha256s.length === 0) return
    this.#isEmpty = false
    writeSync(this.#fd, `${sha256s.join('\n')}\n`)
    if (this.#isStrict) fsyncSync(this.#fd)
  }

  /** Call when rows and files agree. */
  clear(): void {
    if (this.#isEmpty) return
    ftruncateSync(this.#fd, 0)
    this.#isEmpty = true
  }

  close(): void {
    closeSync(this.#fd)
  }
}
