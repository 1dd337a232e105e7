import { STATUS_CODES } from 'node:http'
import type { AssetErrorCode } from '../asset/errors.ts'
import type { ResponseHeaders } from './http-exchange.ts'
import type { HttpLimits } from './http-limits.ts'

/** What is wrong with an answer that is neither content, nor 304, nor a redirect. */
export interface StatusFailure {
  readonly code: AssetErrorCode
  readonly reason: string
  readonly retryAfterMs: number | undefined
}

const refused = new Set([401, 403, 407, 451])
const transient = new Set([408, 425, 429])

/**
 * The failure that a status means; undefined for content (200, and 203, where a proxy changed it).
 * Statuses of 400 to 499 are definite, as far as they do not ask to come again: the same request
 * would be answered the same way. 206 was never asked for, and 202 and 204 bring no content.
 */
export function statusFailure(
  status: number,
  headers: ResponseHeaders,
  limits: Pick<HttpLimits, 'retryAfterMsMax'>,
  nowMs: number,
): StatusFailure | undefined {
  if (status === 200 || status === 203) return undefined
  const text = `answered ${[status, STATUS_CODES[status] ?? ''].join(' ').trim()}`
  if (refused.has(status)) {
    return { code: 'PERMISSION_DENIED', reason: text, retryAfterMs: undefined }
  }
  if (status >= 400 && status < 500 && !transient.has(status)) {
    return { code: 'NOT_FOUND', reason: text, retryAfterMs: undefined }
  }
  const retryAfterMs = parseRetryAfterMs(headerValue(headers, 'retry-after'), limits, nowMs)
  const wait = retryAfterMs === undefined ? '' : `, to be tried again in ${retryAfterMs} ms`
  const not = status < 400 ? ', which is not the whole content' : ''
  return { code: 'UPSTREAM_UNAVAILABLE', reason: `${text}${not}${wait}`, retryAfterMs }
}

/** `Retry-After` (RFC 9110, 10.2.3) as milliseconds from now; undefined if absent or malformed. */
export function parseRetryAfterMs(
  value: string | undefined,
  { retryAfterMsMax }: Pick<HttpLimits, 'retryAfterMsMax'>,
  nowMs: number,
): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  // A date has letters in it; Date.parse alone would take "12" for a month.
  const ms = /^\d+$/.test(text)
    ? Number(text) * 1000
    : /^[A-Za-z]/.test(text)
      ? Date.parse(text) - nowMs
      : Number.NaN
  if (Number.isNaN(ms)) return undefined
  return Math.min(Math.max(ms, 0), retryAfterMsMax)
}

/** The value of a header; of the first, if it came several times. */
export function headerValue(headers: ResponseHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}
