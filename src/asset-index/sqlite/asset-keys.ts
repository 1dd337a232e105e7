import type { Qualifier } from '../../asset/qualifiers.ts'
import { hashBytes } from '../../util/hasher.ts'
import type { AssetKey } from '../asset-index.ts'

/** What rows are found by: hashes, since a key may be 70 KiB of text. */
export interface KeyHashes {
  readonly key: Buffer
  /** Of the key without its qualifiers. */
  readonly uriKey: Buffer
}

export function keyHashes(asset: AssetKey): KeyHashes {
  return { key: exactKey(asset), uriKey: uriKey(asset) }
}

export function exactKey(asset: AssetKey): Buffer {
  return hashJson([...identity(asset), qualifiersJson(asset.qualifiers)])
}

export function uriKey(asset: AssetKey): Buffer {
  return hashJson(identity(asset))
}

/** Qualifiers as stored: a JSON array of [name, value]. */
export function qualifiersJson(qualifiers: readonly Qualifier[]): string {
  return JSON.stringify(qualifiers.map(({ name, value }) => [name, value]))
}

export function parseQualifiersJson(json: string): Qualifier[] {
  return (JSON.parse(json) as [string, string][]).map(([name, value]) => ({ name, value }))
}

function identity({ kind, instance, digestFunction, uri }: AssetKey): string[] {
  return [kind, instance, digestFunction, uri]
}

// JSON keeps the parts apart whatever they hold, so that no two keys read the same.
function hashJson(parts: readonly string[]): Buffer {
  return Buffer.from(hashBytes('SHA256', Buffer.from(JSON.stringify(parts))), 'hex')
}
