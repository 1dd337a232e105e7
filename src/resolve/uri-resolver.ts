import type { AssetRequest, RequestTarget } from '../asset/asset-request.ts'
import type { AssetIndex, AssetRow } from '../asset-index/asset-index.ts'
import { accessScope } from './access-scope.ts'
import { assetKey } from './asset-keys.ts'
import { DerivedAssets, type DerivedAssetsOptions } from './derived-assets.ts'
import type { FoundContent } from './found-content.ts'
import { OriginFetch, type OriginFetchOptions } from './origin-fetch.ts'
import type { Resolved } from './resolver.ts'

export interface UriResolverOptions extends OriginFetchOptions, DerivedAssetsOptions {
  readonly index: AssetIndex
  readonly clock: () => number
}

/**
 * Gets an asset from one URI, from its origin or out of another asset, and writes the index row
 * last, so that a row never names what is not there.
 */
export class UriResolver {
  readonly #index: AssetIndex
  readonly #clock: () => number
  readonly #origin: OriginFetch
  readonly #derived: DerivedAssets

  constructor(options: UriResolverOptions) {
    this.#index = options.index
    this.#clock = options.clock
    this.#origin = new OriginFetch(options)
    this.#derived = new DerivedAssets(options)
  }

  async resolveUri(
    request: AssetRequest,
    target: RequestTarget,
    signal: AbortSignal,
  ): Promise<Resolved> {
    const startedAtMs = this.#clock()
    const found = await this.#find(request, target, signal)
    await this.#remember(request, target, found, startedAtMs)
    const { digest, resolved } = found
    return { digest, uri: target.uri.text, resolved, expiresAtMs: undefined }
  }

  #find(request: AssetRequest, target: RequestTarget, signal: AbortSignal): Promise<FoundContent> {
    if (request.kind === 'blob' && request.qualifiers.value('directory') !== undefined) {
      return this.#derived.fileFromTree(request, target, signal)
    }
    // A name without an origin, such as BuildStream's `urn:` for sources, may be pushed as a blob
    // and not as a directory: the one must not pass for an archive of the other.
    const isArchive =
      request.kind === 'directory' && this.#origin.fetcherOf(request, target)?.yields === 'body'
    if (isArchive) return this.#derived.treeFromArchive(request, target, signal)
    return this.#origin.fetch(request, target, signal)
  }

  /**
   * Each URI of the request becomes a row only if a checksum vouches for all of them. Without one,
   * only the URI that answered does: another's name must not be given to what this origin sent.
   */
  async #remember(
    request: AssetRequest,
    answered: RequestTarget,
    { digest, resolved, finalUri, etag, lastModified }: FoundContent,
    retrievedAtMs: number,
  ): Promise<void> {
    const scope = accessScope(this.#index.scopeKey, answered.headers)
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
    await this.#index.put(rows)
  }
}
