import { type AssetRequest, type RequestTarget, targetsOf } from '../asset/asset-request.ts'
import type { Digest } from '../asset/digest.ts'
import { type Freshness, isFresh } from '../asset/freshness.ts'
import type { Integrity, IntegrityEntry } from '../asset/integrity.ts'
import type { AssetIndex, AssetRow } from '../asset-index/asset-index.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { accessScope } from './access-scope.ts'
import { assetKey, isImmutable } from './asset-keys.ts'
import type { Resolved, Resolver } from './resolver.ts'
import type { TreePresence } from './tree-presence.ts'

/** How a look-up ended, for metrics. */
export type LookupResult = 'hit' | 'checksum' | 'miss'

export interface CachingResolverOptions {
  readonly index: AssetIndex
  readonly store: BlobStore
  readonly trees: TreePresence
  readonly freshnessOf: (uri: string) => Freshness
  /** Offline, content of any age is accepted: there is no way to get newer. */
  readonly acceptsAnyAge: boolean
  /** True where clients keep pushed content in another CAS, which cannot be asked. */
  readonly trustsPushes: boolean
  readonly clock: () => number
  readonly onLookup: (result: LookupResult) => void
}

/**
 * Answers from what is known before the inner resolver is asked. In this order: a row of exactly the
 * request's key for each URI as the request lists them; a pushed row with more qualifiers; for
 * blobs, held content that has one of the checksums, whatever its URI.
 * A row counts only if it is not expired, fresh enough, within scope, and its content is all there:
 * a digest is never handed out that could not be read.
 */
export function cachingResolver(inner: Resolver, options: CachingResolverOptions): Resolver {
  const cache = new AssetCache(options)
  return {
    async resolve(request, signal) {
      const known = (await cache.byKey(request)) ?? (await cache.byChecksum(request))
      options.onLookup(known?.by ?? 'miss')
      return known?.resolved ?? inner.resolve(request, signal)
    },
  }
}

type Known = { readonly by: LookupResult; readonly resolved: Resolved } | undefined

class AssetCache {
  readonly #options: CachingResolverOptions

  constructor(options: CachingResolverOptions) {
    this.#options = options
  }

  async byKey(request: AssetRequest): Promise<Known> {
    const { index } = this.#options
    const targets = targetsOf(request)
    for (const find of [index.find, index.findPushedSupersets]) {
      for (const target of targets) {
        const rows = await find.call(index, assetKey(request, target.uri.text))
        const row = await this.#firstUsable(rows, request, target)
        if (row) return { by: 'hit', resolved: fromRow(row) }
      }
    }
    return undefined
  }

  async byChecksum(request: AssetRequest): Promise<Known> {
    const { integrity } = request.qualifiers
    // With `directory`, the checksum is that of the archive and not of the file in it.
    const isPart = request.qualifiers.value('directory') !== undefined
    if (!integrity || request.kind !== 'blob' || isPart) return undefined
    for (const entry of integrity.entries) {
      const found = await this.#options.store.findByHash(entry.function, entry.hash)
      const digest = found && (await this.#options.store.translate(found, request.digestFunction))
      const uri = request.uris[0]?.text
      if (digest && uri !== undefined) {
        return { by: 'checksum', resolved: { digest, uri, resolved: [], expiresAtMs: undefined } }
      }
    }
    return undefined
  }

  async #firstUsable(
    rows: readonly AssetRow[],
    request: AssetRequest,
    target: RequestTarget,
  ): Promise<AssetRow | undefined> {
    if (rows.length === 0) return undefined
    const scope = accessScope(this.#options.index.scopeKey, target.headers)
    for (const row of rows) {
      if (!mayHave(row, scope, request)) continue
      if (!this.#isCurrent(row, request)) continue
      if (!(await this.#isPresent(row))) continue
      if (!(await this.#keepsChecksum(row, request))) continue
      return row
    }
    return undefined
  }

  #isCurrent(row: AssetRow, request: AssetRequest): boolean {
    const nowMs = this.#options.clock()
    if (row.expiresAtMs !== undefined && row.expiresAtMs <= nowMs) return false
    if (this.#options.acceptsAnyAge) return true
    // A rule for origins says nothing about what was pushed.
    const freshness: Freshness =
      row.source === 'pushed' ? { rule: 'revalidate' } : this.#options.freshnessOf(row.uri)
    return isFresh(
      {
        retrievedAtMs: row.retrievedAtMs,
        isImmutable: isImmutable(request),
        oldestAcceptedMs: request.oldestAcceptedMs,
        nowMs,
      },
      freshness,
    )
  }

  async #isPresent({ kind, digest, source }: AssetRow): Promise<boolean> {
    if (source === 'pushed' && this.#options.trustsPushes) return true
    if (kind === 'directory') return this.#options.trees.isComplete(digest)
    return (await this.#options.store.findMissing([digest])).length === 0
  }

  /**
   * A fetched row's checksum was proven before it was written, a pusher's word is proven here. Of a
   * pushed directory only the pusher knows which archive the checksum is of.
   */
  async #keepsChecksum({ source, kind, digest }: AssetRow, request: AssetRequest) {
    const { integrity } = request.qualifiers
    if (!integrity || source === 'fetched' || kind === 'directory') return true
    return this.#matches(digest, integrity)
  }

  /** Computed once: the store remembers the hash. */
  async #matches(digest: Digest, integrity: Integrity): Promise<boolean> {
    const { entries } = integrity
    // The digest itself says it, also of content that is kept elsewhere.
    if (entries.some((entry) => isHashOf(entry, digest))) return true
    for (const entry of entries) {
      if (entry.function === digest.function) continue
      const named = await this.#options.store.translate(digest, entry.function)
      if (named?.hash === entry.hash) return true
    }
    return false
  }
}

function isHashOf(entry: IntegrityEntry, digest: Digest): boolean {
  return entry.function === digest.function && entry.hash === digest.hash
}

/** Pushed content is for all, fetched for who sends the same headers or names its checksum. */
function mayHave(row: AssetRow, scope: string, request: AssetRequest): boolean {
  return (
    row.source === 'pushed' || row.scope === scope || request.qualifiers.integrity !== undefined
  )
}

function fromRow({ digest, uri, resolved, expiresAtMs }: AssetRow): Resolved {
  return { digest, uri, resolved, expiresAtMs }
}
