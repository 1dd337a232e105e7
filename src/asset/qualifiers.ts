import { quoteShort } from './digest.ts'
import { AssetError, type FieldViolation, invalidField } from './errors.ts'
import { type Integrity, parseIntegrity } from './integrity.ts'
import { type OriginHeader, parseAuthHeaders, parseHeaderQualifier } from './origin-headers.ts'

/** A name and value that narrow down what a URI means (build.bazel.remote.asset.v1.Qualifier). */
export interface Qualifier {
  readonly name: string
  readonly value: string
}

/** 64 qualifiers, 64 KiB of names and values together. */
export const qualifiersMax = 64
export const qualifierBytesMax = 64 * 1024

/**
 * The qualifiers of one request, taken apart. Only `stable` ones are part of an asset's identity;
 * headers are secrets that go to the origin and nowhere else.
 */
export interface Qualifiers {
  /** Sorted by name, then value, so that the order in the request never matters. */
  readonly stable: readonly Qualifier[]
  readonly integrity: Integrity | undefined
  readonly headers: readonly OriginHeader[]
  /** Value of a stable qualifier, if given. */
  value(name: KnownQualifier): string | undefined
  /** Stable names that no fetcher understands: an origin fetch refuses them, a push may carry them. */
  readonly unknownNames: readonly string[]
}

/**
 * The stable qualifiers that fetches understand. The first three are Bazel's and the API's own;
 * `vcs.*` and `directory` are named by the API's comments; `strip_prefix` is http_archive's word.
 */
export const knownQualifiers = [
  'checksum.sri',
  'bazel.canonical_id',
  'resource_type',
  'vcs.branch',
  'vcs.commit',
  'vcs.tag',
  'directory',
  'strip_prefix',
] as const

export type KnownQualifier = (typeof knownQualifiers)[number]

const known: ReadonlySet<string> = new Set(knownQualifiers)

/**
 * Sorts the qualifiers of a request into stable ones and headers.
 * @throws AssetError INVALID_ARGUMENT, naming the field, for too many or too long ones, an empty
 * name, a name given twice with different values, or a malformed value.
 */
export function parseQualifiers(qualifiers: readonly Qualifier[]): Qualifiers {
  checkLimits(qualifiers)
  const stable = new Map<string, string>()
  const headers: OriginHeader[] = []
  for (const { name, value } of qualifiers) {
    if (name === '') throw invalidField('qualifiers.name', 'must not be empty')
    if (name === 'bazel.auth_headers') {
      headers.push(...parseAuthHeaders(value))
      continue
    }
    const header = parseHeaderQualifier(name, value)
    if (header) {
      headers.push(header)
      continue
    }
    const before = stable.get(name)
    // The API wants unique names; the same pair twice does no harm, so only a conflict is refused.
    if (before !== undefined && before !== value) {
      throw invalidField(
        'qualifiers.name',
        `${quoteShort(name)} is given twice with different values`,
      )
    }
    stable.set(name, value)
  }
  return frozenQualifiers(stable, headers)
}

function checkLimits(qualifiers: readonly Qualifier[]): void {
  if (qualifiers.length > qualifiersMax) {
    throw invalidField(
      'qualifiers',
      `at most ${qualifiersMax} are accepted, got ${qualifiers.length}`,
    )
  }
  let bytes = 0
  for (const { name, value } of qualifiers) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > qualifierBytesMax) {
    throw invalidField(
      'qualifiers',
      `names and values together may be ${qualifierBytesMax} bytes, got ${bytes}`,
    )
  }
}

function frozenQualifiers(stable: Map<string, string>, headers: OriginHeader[]): Qualifiers {
  const sorted = [...stable].map(([name, value]) => ({ name, value })).sort(byName)
  const sri = stable.get('checksum.sri')
  return Object.freeze({
    stable: Object.freeze(sorted),
    integrity: sri === undefined ? undefined : parseIntegrity(sri),
    headers: Object.freeze(headers),
    value: (name: KnownQualifier) => stable.get(name),
    unknownNames: Object.freeze(sorted.map(({ name }) => name).filter((name) => !known.has(name))),
  })
}

/** The same qualifiers without the stable ones of these names; `checksum.sri` cannot be left out. */
export function withoutQualifiers(
  qualifiers: Qualifiers,
  names: readonly Exclude<KnownQualifier, 'checksum.sri'>[],
): Qualifiers {
  return withStable(qualifiers, (stable) => {
    for (const name of names) stable.delete(name)
  })
}

/** The same qualifiers with one stable value set. */
export function withQualifier(
  qualifiers: Qualifiers,
  name: Exclude<KnownQualifier, 'checksum.sri'>,
  value: string,
): Qualifiers {
  return withStable(qualifiers, (stable) => void stable.set(name, value))
}

/** The same qualifiers with other headers. */
export function withHeaders(qualifiers: Qualifiers, headers: readonly OriginHeader[]): Qualifiers {
  return frozenQualifiers(stableMap(qualifiers), [...headers])
}

function withStable(
  qualifiers: Qualifiers,
  change: (stable: Map<string, string>) => void,
): Qualifiers {
  const stable = stableMap(qualifiers)
  change(stable)
  return frozenQualifiers(stable, [...qualifiers.headers])
}

function stableMap(qualifiers: Qualifiers): Map<string, string> {
  return new Map(qualifiers.stable.map(({ name, value }) => [name, value]))
}

function byName(a: Qualifier, b: Qualifier): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

/**
 * The refusal that the API's comments ask for when content must come from an origin and a qualifier
 * cannot be honoured: BadRequest with one violation a name.
 */
export function unsupportedQualifiers(names: readonly string[]): AssetError {
  const violations: FieldViolation[] = names.map((name) => ({
    field: 'qualifiers.name',
    description: `${quoteShort(name)} not supported`,
  }))
  const message = violations.map(({ description }) => description).join(', ')
  return new AssetError('INVALID_ARGUMENT', `qualifiers.name: ${message}`, { violations })
}
