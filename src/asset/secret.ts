import { inspect } from 'node:util'

const redacted = '<redacted>'

/**
 * A value that must never be printed: header values of a request, passwords in a URI. However it is
 * turned into text (string, JSON, util.inspect, a log line) it reads `<redacted>`; only `reveal`
 * gives the value, and only the code that sends it to its origin calls that.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  [inspect.custom](): string {
    return redacted
  }
}
