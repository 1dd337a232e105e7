import { type DigestFunction, hashLength, quoteShort } from './digest.ts'
import { invalidField } from './errors.ts'

/** One acceptable hash of the content. */
export interface IntegrityEntry {
  readonly function: DigestFunction
  /** Lower-case hex. */
  readonly hash: string
}

/** The parsed value of `checksum.sri`: content is right if any one entry matches. */
export interface Integrity {
  /** At least one. */
  readonly entries: readonly IntegrityEntry[]
  /** The functions of the entries, each once: what must be computed over the bytes. */
  readonly functions: readonly DigestFunction[]
}

// A Map and not an object: "constructor-…" is an unknown algorithm like any other.
const algorithms: ReadonlyMap<string, DigestFunction> = new Map([
  ['md5', 'MD5'],
  ['sha1', 'SHA1'],
  ['sha256', 'SHA256'],
  ['sha384', 'SHA384'],
  ['sha512', 'SHA512'],
  ['blake3', 'BLAKE3'],
])

const base64 = /^[A-Za-z0-9+/]+={0,2}$/

/**
 * Parses Subresource Integrity metadata (W3C SRI): a list, separated by white space, of
 * `algorithm-base64`, each perhaps with `?options`. Bazel sends one; Please sends alternatives, and
 * bare base64 where it does not know the algorithm, which is skipped like any unknown algorithm.
 * @throws AssetError INVALID_ARGUMENT if no entry is usable, or a known algorithm has a bad hash.
 */
export function parseIntegrity(text: string): Integrity {
  const entries: IntegrityEntry[] = []
  for (const token of text.split(/\s+/)) {
    const entry = token === '' ? undefined : parseEntry(token)
    if (entry) entries.push(entry)
  }
  if (entries.length === 0) {
    throw invalidField(
      'qualifiers.value',
      `checksum.sri ${quoteShort(text)} has no usable entry; expected e.g. "sha256-<base64>"`,
    )
  }
  const functions = [...new Set(entries.map((entry) => entry.function))]
  return Object.freeze({ entries: Object.freeze(entries), functions: Object.freeze(functions) })
}

function parseEntry(token: string): IntegrityEntry | undefined {
  const dash = token.indexOf('-')
  const digestFunction = dash < 0 ? undefined : algorithms.get(token.slice(0, dash))
  if (!digestFunction) return undefined
  const encoded = token.slice(dash + 1).split('?', 1)[0] ?? ''
  const hash = Buffer.from(encoded, 'base64').toString('hex')
  if (!base64.test(encoded) || hash.length !== hashLength(digestFunction)) {
    throw invalidField(
      'qualifiers.value',
      `checksum.sri entry ${quoteShort(token)} is not base64 of a ${digestFunction} hash`,
    )
  }
  return { function: digestFunction, hash }
}

/** The entry in the way it was sent, for messages: `sha256-…`. */
export function integrityEntryText({ function: digestFunction, hash }: IntegrityEntry): string {
  return `${digestFunction.toLowerCase()}-${Buffer.from(hash, 'hex').toString('base64')}`
}

/** True if one of the hashes, by function, is among the acceptable ones. */
export function satisfies(
  integrity: Integrity,
  hashes: ReadonlyMap<DigestFunction, string>,
): boolean {
  return integrity.entries.some((entry) => hashes.get(entry.function) === entry.hash)
}
