export interface LocalStoreOptions {
  /** Bytes of all content together; older content is evicted beyond it. Default: no limit. */
  readonly sizeBytesMax?: number
  /** Default 16 GiB. */
  readonly blobSizeBytesMax?: number
  /** Content up to this size is kept inside the database, larger content as files. */
  readonly inlineSizeBytesMax?: number
  /** `strict` also survives a power failure: it fsyncs before it acknowledges. Default `normal`. */
  readonly durability?: 'normal' | 'strict'
  /** Content stored or asked for within this time is never evicted. Default 10 minutes. */
  readonly protectionMs?: number
  /** How long last-used times are collected before they are written. Default 2 s. */
  readonly touchIntervalMs?: number
  /** Default 1,000,000. */
  readonly actionResultsMax?: number
  /** Bytes of all action results together. Default 1 GiB. */
  readonly actionResultBytesMax?: number
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

/** Options that the writer thread needs. */
export interface CasWriterData {
  readonly directory: string
  readonly inlineSizeBytesMax: number
  readonly durability: 'normal' | 'strict'
  /** A last-used time this fresh is not written again. */
  readonly touchGranularityMs: number
  readonly actionResultsMax: number
  readonly actionResultBytesMax: number
}

export type ResolvedStoreOptions = Required<LocalStoreOptions> & CasWriterData

const maximum = Number.MAX_SAFE_INTEGER

/** Every option with its default. */
export function resolveStoreOptions(
  directory: string,
  options: LocalStoreOptions,
): ResolvedStoreOptions {
  const protectionMs = options.protectionMs ?? 10 * 60_000
  return Object.freeze({
    directory,
    sizeBytesMax: options.sizeBytesMax ?? maximum,
    blobSizeBytesMax: options.blobSizeBytesMax ?? 16 * 1024 ** 3,
    inlineSizeBytesMax: options.inlineSizeBytesMax ?? 16 * 1024,
    durability: options.durability ?? 'normal',
    protectionMs,
    touchIntervalMs: options.touchIntervalMs ?? 2000,
    touchGranularityMs: Math.min(60_000, Math.floor(protectionMs / 10)),
    actionResultsMax: options.actionResultsMax ?? 1_000_000,
    actionResultBytesMax: options.actionResultBytesMax ?? 1024 ** 3,
    clock: options.clock ?? Date.now,
  })
}

/** The part that crosses to the writer thread. */
export function writerData(options: ResolvedStoreOptions): CasWriterData {
  return {
    directory: options.directory,
    inlineSizeBytesMax: options.inlineSizeBytesMax,
    durability: options.durability,
    touchGranularityMs: options.touchGranularityMs,
    actionResultsMax: options.actionResultsMax,
    actionResultBytesMax: options.actionResultBytesMax,
  }
}
