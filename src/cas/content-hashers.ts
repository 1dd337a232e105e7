import type { DigestFunction } from '../asset/digest.ts'
import { createHasher, type Hasher } from '../util/hasher.ts'

/** Hashes the bytes of an upload under SHA256 and every function that was asked for, in one pass. */
export class ContentHashers {
  readonly #hashers = new Map<DigestFunction, Hasher>()

  constructor(functions: readonly Exclude<DigestFunction, 'GITSHA1'>[]) {
    this.#hashers.set('SHA256', createHasher('SHA256'))
    for (const name of functions) {
      if (!this.#hashers.has(name)) this.#hashers.set(name, createHasher(name))
    }
  }

  update(bytes: Uint8Array): void {
    for (const hasher of this.#hashers.values()) hasher.update(bytes)
  }

  /** Lower-case hex by function. May be called once. */
  finish(): ReadonlyMap<DigestFunction, string> {
    const hashes = new Map<DigestFunction, string>()
    for (const [name, hasher] of this.#hashers) hashes.set(name, hasher.hex())
    return hashes
  }
}
