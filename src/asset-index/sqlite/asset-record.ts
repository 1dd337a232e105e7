import type { AssetKind } from '../../asset/asset-request.ts'
import type { DigestFunction } from '../../asset/digest.ts'
import type { AssetRow } from '../asset-index.ts'
import { keyHashes, parseQualifiersJson, qualifiersJson } from './asset-keys.ts'

/** A row of the table `assets`, by its column names. */
export interface AssetRecord {
  readonly key: Uint8Array
  readonly scope: string
  readonly uri_key: Uint8Array
  readonly kind: string
  readonly instance: string
  readonly uri: string
  readonly qualifiers: string
  readonly digest_function: string
  readonly hash: string
  readonly size_bytes: number
  readonly source: string
  readonly retrieved_at_ms: number
  readonly expires_at_ms: number | null
  readonly etag: string | null
  readonly last_modified: string | null
  readonly final_uri: string | null
  readonly resolved: string
}

export const assetColumns = [
  'key',
  'scope',
  'uri_key',
  'kind',
  'instance',
  'uri',
  'qualifiers',
  'digest_function',
  'hash',
  'size_bytes',
  'source',
  'retrieved_at_ms',
  'expires_at_ms',
  'etag',
  'last_modified',
  'final_uri',
  'resolved',
] as const satisfies readonly (keyof AssetRecord)[]

export function toRecord(row: AssetRow): AssetRecord {
  const { key, uriKey } = keyHashes(row)
  return {
    key,
    scope: row.scope,
    uri_key: uriKey,
    kind: row.kind,
    instance: row.instance,
    uri: row.uri,
    qualifiers: qualifiersJson(row.qualifiers),
    digest_function: row.digest.function,
    hash: row.digest.hash,
    size_bytes: row.digest.sizeBytes,
    source: row.source,
    retrieved_at_ms: row.retrievedAtMs,
    expires_at_ms: row.expiresAtMs ?? null,
    etag: row.etag ?? null,
    last_modified: row.lastModified ?? null,
    final_uri: row.finalUri ?? null,
    resolved: qualifiersJson(row.resolved),
  }
}

export function fromRecord(record: AssetRecord): AssetRow {
  const digestFunction = record.digest_function as DigestFunction
  return {
    kind: record.kind as AssetKind,
    instance: record.instance,
    digestFunction,
    uri: record.uri,
    qualifiers: parseQualifiersJson(record.qualifiers),
    digest: { function: digestFunction, hash: record.hash, sizeBytes: record.size_bytes },
    source: record.source as AssetRow['source'],
    scope: record.scope,
    retrievedAtMs: record.retrieved_at_ms,
    expiresAtMs: record.expires_at_ms ?? undefined,
    etag: record.etag ?? undefined,
    lastModified: record.last_modified ?? undefined,
    finalUri: record.final_uri ?? undefined,
    resolved: parseQualifiersJson(record.resolved),
  }
}
