import { LRUCache } from 'lru-cache'
import { type AssetRequest, narrowToUri, type RequestTarget } from '../asset/asset-request.ts'
import { displayUri } from '../asset/asset-uri.ts'
import { type Digest, digestText, quoteShort } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { withoutQualifiers, withQualifier } from '../asset/qualifiers.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { Importers } from '../importers/importers.ts'
import type { FetchObserver } from './fetch-observer.ts'
import { fileInDirectory } from './file-in-tree.ts'
import { type FoundContent, plainContent, treeSelection } from './found-content.ts'
import type { Resolver } from './resolver.ts'
import type { TreePresence } from './tree-presence.ts'

/** Archives whose trees are remembered; an entry is about 300 bytes. */
const rememberedArchivesMax = 10_000

export interface DerivedAssetsOptions {
  readonly store: BlobStore
  readonly trees: TreePresence
  readonly importers: Importers
  readonly observer: FetchObserver
  /** The whole resolver: the other asset is looked up, shared and fetched like any. */
  readonly whole: () => Resolver
}

/** Assets that are made from another asset: the tree of an archive, a file of a tree. */
export class DerivedAssets {
  readonly #options: DerivedAssetsOptions
  readonly #treesOfArchives = new LRUCache<string, Digest>({ max: rememberedArchivesMax })

  constructor(options: DerivedAssetsOptions) {
    this.#options = options
  }

  /** `directory` of a FetchBlob names one file of an archive or repository. */
  async fileFromTree(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<FoundContent> {
    const segments = (request.qualifiers.value('directory') ?? '')
      .split('/')
      .filter((segment) => segment !== '' && segment !== '.')
    const name = segments.pop() ?? ''
    const narrow = narrowToUri(request, target)
    const qualifiers =
      segments.length === 0
        ? withoutQualifiers(narrow.qualifiers, ['directory'])
        : withQualifier(narrow.qualifiers, 'directory', segments.join('/'))
    const tree: AssetRequest = { ...narrow, kind: 'directory', qualifiers }
    const { digest, resolved } = await this.#options.whole().resolve(tree, signal)
    const file = await fileInDirectory(this.#options.store, digest, name)
    if (file) return plainContent(file, resolved)
    throw new AssetError(
      'NOT_FOUND',
      `${displayUri(target.uri.text)}: there is no file ` +
        `${quoteShort([...segments, name].join('/'))} in it`,
    )
  }

  /**
   * The archive is an asset of its own: held under its URI or its checksum, it is not asked for
   * again when its tree is wanted, and one that did not change is not unpacked again.
   */
  async treeFromArchive(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<FoundContent> {
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
    return plainContent(await this.#unpacked(digest, request, signal), [])
  }

  async #unpacked(archive: Digest, request: AssetRequest, signal: AbortSignal): Promise<Digest> {
    const { store, trees, importers, observer } = this.#options
    const selection = treeSelection(request)
    const key = JSON.stringify([digestText(archive), selection])
    const known = this.#treesOfArchives.get(key)
    if (known && (await trees.isComplete(known))) return known
    const counter = store.evictionCounter()
    const root = await observer.observeImport('archive', () =>
      importers.importArchive(archive, selection, signal),
    )
    trees.remember(root, counter)
    this.#treesOfArchives.set(key, root)
    return root
  }
}
