import { displayUri } from '../asset/asset-uri.ts'
import type { HttpAnswer } from './http-exchange.ts'
import { httpError } from './http-failure.ts'
import type { HttpLimits } from './http-limits.ts'
import { headerValue } from './http-status.ts'

const redirects = new Set([301, 302, 303, 307, 308])

/**
 * Where an answer redirects to; undefined if it does not.
 * @param hops The URI asked for, then those that redirects have led to so far.
 * @throws AssetError PERMISSION_DENIED for what is not followed: a circle, too many, a downgrade from
 * https to http, another scheme, a bad address. All are definite: another try ends the same way.
 */
export function redirectTarget(
  answer: HttpAnswer,
  hops: readonly URL[],
  limits: Pick<HttpLimits, 'redirectsMax'>,
): URL | undefined {
  if (!redirects.has(answer.status)) return undefined
  const from = hops.at(-1)
  const target = parseLocation(headerValue(answer.headers, 'location'), from)
  const refuse = (reason: string) => httpError(hops, 'PERMISSION_DENIED', reason)
  if (!target) throw refuse(`answered ${answer.status} without a valid address to go to`)
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw refuse(`redirects to ${target.protocol}, and only http and https are followed`)
  }
  if (from?.protocol === 'https:' && target.protocol === 'http:') {
    throw refuse(`redirects from https to ${displayUri(target)}, which is not followed`)
  }
  const chain = () => [...hops, target].map((url) => displayUri(url)).join(' → ')
  if (hops.some(({ href }) => href === target.href)) {
    throw refuse(`redirects go in a circle: ${chain()}`)
  }
  if (hops.length > limits.redirectsMax) {
    throw refuse(`more than ${limits.redirectsMax} redirects: ${chain()}`)
  }
  return target
}

function parseLocation(location: string | undefined, base: URL | undefined): URL | undefined {
  if (location === undefined || !base) return undefined
  // Header bytes arrive as latin1, yet servers send addresses in raw UTF-8.
  const text = Buffer.from(location, 'latin1').toString('utf8')
  return URL.canParse(text, base) ? plainUrl(new URL(text, base)) : undefined
}

/** A copy with what is not sent taken off: userinfo goes in a header, a fragment nowhere. */
export function plainUrl(url: URL): URL {
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  plain.hash = ''
  return plain
}
