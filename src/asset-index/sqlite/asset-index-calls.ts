import type { AssetRecord } from './asset-record.ts'

/** What the writer thread of the asset index is started with. */
export interface WriterData {
  readonly path: string
  readonly durability: 'normal' | 'strict'
}

/** What it is asked to do. */
export interface AssetIndexCalls {
  put(records: readonly AssetRecord[]): void
  count(): number
}

/** The setting that holds `AssetIndex.scopeKey`. */
export const scopeKeyName = 'scope_key'
export const scopeKeyBytes = 32
