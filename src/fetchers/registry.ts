import type { Fetcher, FetchRequest } from './fetcher.ts'

/**
 * The first fetcher that accepts the request; undefined if none does. The order is that of the list:
 * git stands before http, since a repository may be named by an http URL.
 */
export function pickFetcher(
  fetchers: readonly Fetcher[],
  request: FetchRequest,
): Fetcher | undefined {
  return fetchers.find((fetcher) => fetcher.accepts(request))
}
