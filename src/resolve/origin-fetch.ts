import type { AssetRequest, RequestTarget } from '../asset/asset-request.ts'
import { displayUri } from '../asset/asset-uri.ts'
import { AssetError } from '../asset/errors.ts'
import type { Freshness } from '../asset/freshness.ts'
import type { AssetIndex, AssetRow } from '../asset-index/asset-index.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type {
  Fetched,
  FetchedBody,
  FetchedCommit,
  Fetcher,
  FetchRequest,
} from '../fetchers/fetcher.ts'
import { pickFetcher } from '../fetchers/registry.ts'
import { importBlob } from '../importers/blob-importer.ts'
import type { Importers } from '../importers/importers.ts'
import { accessScope } from './access-scope.ts'
import { assetKey, isImmutable } from './asset-keys.ts'
import type { FetchObserver } from './fetch-observer.ts'
import type { FetchSlots } from './fetch-slots.ts'
import { type FoundContent, plainContent, treeSelection } from './found-content.ts'
import type { TreePresence } from './tree-presence.ts'

export interface OriginFetchOptions {
  readonly index: AssetIndex
  readonly store: BlobStore
  readonly trees: TreePresence
  /** In the order in which they are asked whether they accept a request. */
  readonly fetchers: readonly Fetcher[]
  readonly importers: Importers
  readonly slots: FetchSlots
  readonly observer: FetchObserver
  readonly freshnessOf: (uri: string) => Freshness
  readonly isOffline: boolean
  /** Fetched files beyond this are refused, in bytes. */
  readonly sizeBytesMax: number
}

/** One URI of a request, and what goes with it through a fetch. */
interface Work {
  readonly request: AssetRequest
  readonly target: RequestTarget
  /** What is held already, if the origin can be asked whether it changed. */
  readonly held: AssetRow | undefined
  readonly signal: AbortSignal
}

/** Asks the origin of one URI, if our rules allow to, and takes what comes into the CAS. */
export class OriginFetch {
  readonly #options: OriginFetchOptions

  constructor(options: OriginFetchOptions) {
    this.#options = options
  }

  async fetch(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<FoundContent> {
    const held = await this.#heldRow(request, target)
    const fetchRequest = this.#fetchRequest(request, target, held)
    const fetcher = fetchRequest && pickFetcher(this.#options.fetchers, fetchRequest)
    if (!fetcher) throw noOrigin(target)
    this.#checkRules(request, target, fetcher)
    using _slot = await this.#options.slots.take(fetchRequest.url.host, signal)
    // Without `await` the slot, and the body below, would be given back before their use.
    return await this.#options.observer.observeFetch(
      { kind: request.kind, fetcher: fetcher.name, uri: displayUri(target.uri.text) },
      async (onBytes) => {
        await using fetched = await fetcher.fetch(fetchRequest, signal)
        return await this.#take({ request, target, held, signal }, fetched, onBytes)
      },
    )
  }

  /** The fetcher that would be asked; undefined if the URI has no origin. */
  fetcherOf(request: AssetRequest, target: RequestTarget): Fetcher | undefined {
    const fetchRequest = this.#fetchRequest(request, target, undefined)
    return fetchRequest && pickFetcher(this.#options.fetchers, fetchRequest)
  }

  #fetchRequest(
    { kind, qualifiers }: AssetRequest,
    { uri: { url }, headers }: RequestTarget,
    held: AssetRow | undefined,
  ): FetchRequest | undefined {
    return (
      url && {
        url,
        kind,
        qualifiers,
        headers,
        scope: accessScope(this.#options.index.scopeKey, headers),
        held: held && { etag: held.etag, lastModified: held.lastModified },
      }
    )
  }

  #checkRules(request: AssetRequest, { uri }: RequestTarget, fetcher: Fetcher): void {
    const shown = displayUri(uri.text)
    if (fetcher.yields === 'commit' && request.qualifiers.integrity) {
      throw new AssetError(
        'INVALID_ARGUMENT',
        `${shown}: a repository has no checksum that checksum.sri could name; use vcs.commit`,
      )
    }
    if (this.#options.isOffline) {
      throw new AssetError(
        'NOT_FOUND',
        `${shown}: not held, and nothing is fetched in offline mode (fetch.mode)`,
      )
    }
    if (!isImmutable(request) && this.#options.freshnessOf(uri.text).rule === 'refuse') {
      throw new AssetError(
        'PERMISSION_DENIED',
        `${shown}: requests without a checksum are refused for this URI (fetch.freshness)`,
      )
    }
  }

  /** A row whose content is there, so that the origin need only say that it is unchanged. */
  async #heldRow(request: AssetRequest, target: RequestTarget): Promise<AssetRow | undefined> {
    if (request.kind !== 'blob') return undefined
    const { index, store } = this.#options
    const scope = accessScope(index.scopeKey, target.headers)
    for (const row of await index.find(assetKey(request, target.uri.text))) {
      if (row.source !== 'fetched' || row.scope !== scope) continue
      if (row.etag === undefined && row.lastModified === undefined) continue
      if ((await store.findMissing([row.digest])).length === 0) return row
    }
    return undefined
  }

  async #take(
    work: Work,
    fetched: Fetched,
    onBytes: (sizeBytes: number) => void,
  ): Promise<FoundContent> {
    if (fetched.type === 'commit') return this.#takeCommit(work, fetched)
    if (fetched.type === 'body') return this.#takeBody(work, fetched, onBytes)
    const { held } = work
    if (!held) throw new Error(`${fetched.finalUri}: unchanged, but nothing was held`)
    return {
      ...plainContent(held.digest, held.resolved, fetched.finalUri),
      etag: fetched.validators.etag ?? held.etag,
      lastModified: fetched.validators.lastModified ?? held.lastModified,
    }
  }

  async #takeBody(
    { request, target }: Work,
    { body, finalUri, validators }: FetchedBody,
    onBytes: (sizeBytes: number) => void,
  ): Promise<FoundContent> {
    const digest = await importBlob(this.#options.store, {
      body,
      digestFunction: request.digestFunction,
      integrity: request.qualifiers.integrity,
      sizeBytesMax: this.#options.sizeBytesMax,
      displayUri: displayUri(target.uri.text),
      onBytes,
    })
    return { ...plainContent(digest, [], finalUri), ...validators }
  }

  async #takeCommit({ request, target, signal }: Work, commit: FetchedCommit) {
    const { store, trees, importers, observer } = this.#options
    if (request.kind === 'blob') {
      throw new AssetError(
        'UNIMPLEMENTED',
        `${displayUri(target.uri.text)}: FetchBlob of a repository needs the qualifier "directory" ` +
          'to name one file; FetchDirectory gives the whole tree',
      )
    }
    const counter = store.evictionCounter()
    const digest = await observer.observeImport('git', () =>
      importers.importCommit(commit, treeSelection(request), signal),
    )
    trees.remember(digest, counter)
    return plainContent(digest, commit.resolved, commit.finalUri)
  }
}

function noOrigin({ uri }: RequestTarget): AssetError {
  const shown = displayUri(uri.text)
  if (uri.url?.protocol === 'file:') {
    return new AssetError('INVALID_ARGUMENT', `${shown}: files of the server are not served`)
  }
  return new AssetError(
    'NOT_FOUND',
    `${shown}: nothing is known by this name, and there is no origin for such a URI`,
  )
}
