import { type AssetRequest, narrowToUri, type RequestTarget } from '../asset/asset-request.ts'
import { displayUri } from '../asset/asset-uri.ts'
import { type Digest, quoteShort } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { Freshness } from '../asset/freshness.ts'
import { type Qualifier, withoutQualifiers, withQualifier } from '../asset/qualifiers.ts'
import type { AssetIndex, AssetRow } from '../asset-index/asset-index.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { Fetched, FetchedBody, FetchedCommit, Fetcher } from '../fetchers/fetcher.ts'
import { importBlob } from '../importers/blob-importer.ts'
import type { Importers } from '../importers/importers.ts'
import { accessScope } from './access-scope.ts'
import { assetKey, isImmutable } from './asset-keys.ts'
import type { FetchObserver } from './fetch-observer.ts'
import type { FetchSlots } from './fetch-slots.ts'
import { fileInDirectory } from './file-in-tree.ts'
import type { Resolved, Resolver } from './resolver.ts'
import type { TreePresence } from './tree-presence.ts'

export interface UriResolverOptions {
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
  readonly clock: () => number
  /** The whole resolver, for an asset that is made from another one (a tree from an archive). */
  readonly whole: () => Resolver
}

/** What content was found, before it is written to the index. */
interface Found {
  readonly digest: Digest
  readonly resolved: readonly Qualifier[]
  readonly finalUri: string | undefined
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/**
 * Gets an asset from one URI: picks the fetcher, fetches, imports, verifies, and writes the index
 * row last, so that a row never names what is not there.
 */
export class UriResolver {
  readonly #options: UriResolverOptions

  constructor(options: UriResolverOptions) {
    this.#options = options
  }

  async resolveUri(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Resolved> {
    const startedAtMs = this.#options.clock()
    const found = await this.#find(request, target, signal)
    await this.#remember(request, target, found, startedAtMs)
    return {
      digest: found.digest,
      uri: target.uri.text,
      resolved: found.resolved,
      expiresAtMs: undefined,
    }
  }

  #find(request: AssetRequest, target: RequestTarget, signal: AbortSignal): Promise<Found> {
    if (request.kind === 'blob' && request.qualifiers.value('directory') !== undefined) {
      return this.#fileFromTree(request, target, signal)
    }
    if (request.kind === 'directory') {
      const fetcher = this.#fetcherFor(request, target)
      // A name without an origin, such as BuildStream's `urn:` for sources, may be pushed as a blob
      // and not as a directory: the one must not pass for an archive of the other.
      if (fetcher && fetcher.yields !== 'commit') {
        return this.#treeFromArchive(request, target, signal)
      }
    }
    return this.#fromOrigin(request, target, signal)
  }

  /** `directory` of a FetchBlob names one file of an archive or repository. */
  async #fileFromTree(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Found> {
    const segments = (request.qualifiers.value('directory') ?? '')
      .split('/')
      .filter((segment) => segment !== '' && segment !== '.')
    const path = segments.join('/')
    const slash = path.lastIndexOf('/')
    const narrow = narrowToUri(request, target)
    const qualifiers =
      slash < 0
        ? withoutQualifiers(narrow.qualifiers, ['directory'])
        : withQualifier(narrow.qualifiers, 'directory', path.slice(0, slash))
    const tree: AssetRequest = { ...narrow, kind: 'directory', qualifiers }
    const { digest, resolved } = await this.#options.whole().resolve(tree, signal)
    const file = await fileInDirectory(this.#options.store, digest, path.slice(slash + 1))
    if (!file) {
      throw new AssetError(
        'NOT_FOUND',
        `${displayUri(target.uri.text)}: there is no file ${quoteShort(path)} in it`,
      )
    }
    return found(file, resolved)
  }

  /**
   * The archive is an asset of its own: held under its URI or its checksum, it is not asked for
   * again when its tree is wanted.
   */
  async #treeFromArchive(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Found> {
    const { store, trees, importers, observer } = this.#options
    const narrow = narrowToUri(request, target)
    const archive: AssetRequest = {
      ...narrow,
      kind: 'blob',
      qualifiers: withoutQualifiers(narrow.qualifiers, [
        'directory',
        'strip_prefix',
        'resource_type',
      ]),
    }
    const { digest } = await this.#options.whole().resolve(archive, signal)
    const counter = store.evictionCounter()
    const root = await observer.observeImport('archive', () =>
      importers.importArchive(digest, selection(request), signal),
    )
    trees.remember(root, counter)
    return found(root, [])
  }

  async #fromOrigin(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Found> {
    const held = await this.#heldRow(request, target)
    const { url, fetcher, fetchRequest } = this.#plan(request, target, held)
    using _slot = await this.#options.slots.take(url.host, signal)
    // Without `await` the slot, and the body below, would be given back before their use.
    return await this.#options.observer.observeFetch(
      { kind: request.kind, fetcher: fetcher.name, uri: displayUri(target.uri.text) },
      async (onBytes) => {
        await using fetched = await fetcher.fetch(fetchRequest, signal)
        return await this.#take(request, target, fetched, held, onBytes, signal)
      },
    )
  }

  #plan(request: AssetRequest, target: RequestTarget, held: AssetRow | undefined) {
    const shown = displayUri(target.uri.text)
    const { url } = target.uri
    if (url?.protocol === 'file:') {
      throw new AssetError('INVALID_ARGUMENT', `${shown}: files of the server are not served`)
    }
    const fetchRequest = url && {
      url,
      kind: request.kind,
      qualifiers: request.qualifiers,
      headers: target.headers,
      held: held && { etag: held.etag, lastModified: held.lastModified },
    }
    const fetcher =
      fetchRequest && this.#options.fetchers.find((candidate) => candidate.accepts(fetchRequest))
    if (!fetcher) {
      throw new AssetError(
        'NOT_FOUND',
        `${shown}: nothing is known by this name, and there is no origin for such a URI`,
      )
    }
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
    if (!isImmutable(request) && this.#options.freshnessOf(target.uri.text).rule === 'refuse') {
      throw new AssetError(
        'PERMISSION_DENIED',
        `${shown}: requests without a checksum are refused for this URI (fetch.freshness)`,
      )
    }
    return { url, fetcher, fetchRequest }
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
    request: AssetRequest,
    target: RequestTarget,
    fetched: Fetched,
    held: AssetRow | undefined,
    onBytes: (sizeBytes: number) => void,
    signal: AbortSignal,
  ): Promise<Found> {
    if (fetched.type === 'commit') return this.#takeCommit(request, target, fetched, signal)
    if (fetched.type === 'body') return this.#takeBody(request, target, fetched, onBytes)
    if (!held) throw new Error(`${fetched.finalUri}: unchanged, but nothing was held`)
    return {
      ...held,
      etag: fetched.validators.etag ?? held.etag,
      lastModified: fetched.validators.lastModified ?? held.lastModified,
    }
  }

  async #takeBody(
    request: AssetRequest,
    target: RequestTarget,
    { body, finalUri, validators }: FetchedBody,
    onBytes: (sizeBytes: number) => void,
  ): Promise<Found> {
    const digest = await importBlob(this.#options.store, {
      body,
      digestFunction: request.digestFunction,
      integrity: request.qualifiers.integrity,
      sizeBytesMax: this.#options.sizeBytesMax,
      displayUri: displayUri(target.uri.text),
      onBytes,
    })
    return { digest, resolved: [], finalUri, ...validators }
  }

  async #takeCommit(
    request: AssetRequest,
    target: RequestTarget,
    commit: FetchedCommit,
    signal: AbortSignal,
  ): Promise<Found> {
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
      importers.importCommit(commit, selection(request), signal),
    )
    trees.remember(digest, counter)
    return { ...found(digest, commit.resolved), finalUri: commit.finalUri }
  }

  #fetcherFor(request: AssetRequest, { uri, headers }: RequestTarget): Fetcher | undefined {
    if (!uri.url) return undefined
    const asked = {
      url: uri.url,
      kind: request.kind,
      qualifiers: request.qualifiers,
      headers,
      held: undefined,
    }
    return this.#options.fetchers.find((fetcher) => fetcher.accepts(asked))
  }

  /**
   * Each URI of the request becomes a row only if a checksum vouches for all of them. Without one,
   * only the URI that answered does: another's name must not be given to what this origin sent.
   */
  async #remember(
    request: AssetRequest,
    answered: RequestTarget,
    { digest, resolved, finalUri, etag, lastModified }: Found,
    retrievedAtMs: number,
  ): Promise<void> {
    const { index } = this.#options
    const scope = accessScope(index.scopeKey, answered.headers)
    const uris = request.qualifiers.integrity ? request.uris : [answered.uri]
    const rows = uris.map(
      (uri): AssetRow => ({
        ...assetKey(request, uri.text),
        digest,
        source: 'fetched',
        scope,
        retrievedAtMs,
        expiresAtMs: undefined,
        etag,
        lastModified,
        finalUri,
        resolved,
      }),
    )
    await index.put(rows)
  }
}

function found(digest: Digest, resolved: readonly Qualifier[]): Found {
  return { digest, resolved, finalUri: undefined, etag: undefined, lastModified: undefined }
}

function selection(request: AssetRequest) {
  return {
    digestFunction: request.digestFunction,
    directory: request.qualifiers.value('directory'),
    stripPrefix: request.qualifiers.value('strip_prefix'),
  }
}
