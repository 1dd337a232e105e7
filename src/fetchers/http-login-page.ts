import type { ResponseHeaders } from './http-exchange.ts'
import { headerValue } from './http-status.ts'

const pageTypes = new Set(['text/html', 'application/xhtml+xml'])
const pageName = /\.x?html?$/i
// With a letter in it, or the end of "/docs/v1.2" would count as one.
const extension = /\.(?=[0-9]*[a-z])[a-z0-9]{1,12}$/i

/**
 * True if a redirect led from a file to a web page: what single sign-on does with a request that is
 * not logged in. Stored as the file, the page would break builds in ways that name nobody.
 * @param hops The URI asked for, then those that redirects led to.
 */
export function isUnwantedPage(headers: ResponseHeaders, hops: readonly URL[]): boolean {
  const [asked, last] = [hops.at(0), hops.at(-1)]
  if (!asked || !last || (asked.host === last.host && asked.pathname === last.pathname)) {
    return false
  }
  const type = headerValue(headers, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type === undefined || !pageTypes.has(type)) return false
  return extension.test(asked.pathname) && !pageName.test(asked.pathname)
}
