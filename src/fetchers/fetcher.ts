import type { AssetKind } from '../asset/asset-request.ts'
import type { HeaderMap } from '../asset/origin-headers.ts'
import type { Qualifier, Qualifiers } from '../asset/qualifiers.ts'

/** What a fetcher is asked for: one URI of a request, with what goes to its origin. */
export interface FetchRequest {
  readonly url: URL
  readonly kind: AssetKind
  readonly qualifiers: Qualifiers
  /** Headers for the first origin, by lower-case name; dropped if a redirect leaves that origin. */
  readonly headers: HeaderMap
  /**
   * A keyed hash of the headers, empty for none: who may have what a fetcher keeps for itself. What
   * one scope has brought is given to another only if the origin lets that one have it too.
   */
  readonly scope: string
  /** Validators of what is held, for a conditional request. */
  readonly held: Validators | undefined
}

export interface Validators {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/**
 * What came of it. Every kind is disposed of by the caller, whether it was used to the end or not.
 */
export type Fetched = FetchedBody | FetchedNotModified | FetchedCommit

export interface FetchedBody extends AsyncDisposable {
  readonly type: 'body'
  /**
   * Ends only if the whole body came; a body cut short throws UPSTREAM_UNAVAILABLE. The fetcher
   * neither hashes nor buffers it.
   */
  readonly body: AsyncIterable<Uint8Array>
  /** As the origin announced it, if it did. */
  readonly sizeBytes: number | undefined
  /** Where redirects ended, fit for display. */
  readonly finalUri: string
  readonly validators: Validators
}

/** The origin says that what we hold is still current. Only after a request with `held`. */
export interface FetchedNotModified extends AsyncDisposable {
  readonly type: 'not-modified'
  readonly finalUri: string
  readonly validators: Validators
}

/** A commit that now stands in a local bare repository, which stays as it is until disposal. */
export interface FetchedCommit extends AsyncDisposable {
  readonly type: 'commit'
  /** Path of the bare repository. */
  readonly gitDir: string
  /** Full object id. */
  readonly commit: string
  readonly finalUri: string
  /** What the answer adds to its qualifiers, e.g. `vcs.commit`. */
  readonly resolved: readonly Qualifier[]
}

/**
 * Gets content from one kind of origin. A fetcher only yields bytes or a commit: it never verifies,
 * caches, stores, or goes on to the next mirror; the resolver does.
 */
export interface Fetcher {
  /** Short name for metrics, logs and configuration, e.g. `http`. */
  readonly name: string
  /** What it fetches: a body of bytes, or a commit of a repository. */
  readonly yields: 'body' | 'commit'
  /** True if this fetcher serves such a request, decided from scheme, kind and qualifiers alone. */
  accepts(request: FetchRequest): boolean
  /**
   * Throws AssetError, with a message that names the URI and the reason:
   * - NOT_FOUND: the origin says that there is no such thing (404, 410, no such ref);
   * - PERMISSION_DENIED: it refuses (401, 403), or answered with something that is not the content;
   * - UPSTREAM_UNAVAILABLE: another try may succeed (5xx, 429, refused, reset, unknown host), with
   *   `retryAfterMs` if the origin said so;
   * - RESOURCE_EXHAUSTED: larger than the configured limit;
   * - DEADLINE_EXCEEDED: the signal fired for time; CANCELLED: it fired otherwise.
   */
  fetch(request: FetchRequest, signal: AbortSignal): Promise<Fetched>
}
