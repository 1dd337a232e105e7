import { displayUri } from '../asset/asset-uri.ts'
import { AssetError, type AssetErrorCode, type AssetErrorOptions } from '../asset/errors.ts'
import type { HttpLimits } from './http-limits.ts'

/**
 * The error of a fetch: `GET <uri>: <reason>`, and where redirects had led.
 * @param hops The URI asked for, then those that redirects led to.
 */
export function httpError(
  hops: readonly URL[],
  code: AssetErrorCode,
  reason: string,
  options: Omit<AssetErrorOptions, 'uri'> = {},
): AssetError {
  const [asked, last] = [hops.at(0), hops.at(-1)]
  const uri = asked ? displayUri(asked) : ''
  const via = last && last !== asked ? ` (redirected to ${displayUri(last)})` : ''
  return new AssetError(code, `GET ${uri}${via}: ${reason}`, { ...options, uri })
}

/** The error for what a signal stopped. */
export function stoppedError(hops: readonly URL[], signal: AbortSignal): AssetError {
  const cause: unknown = signal.reason
  const isTime =
    (cause instanceof AssetError && cause.code === 'DEADLINE_EXCEEDED') ||
    (cause instanceof Error && cause.name === 'TimeoutError')
  return isTime
    ? httpError(hops, 'DEADLINE_EXCEEDED', 'the fetch ran out of time', { cause })
    : httpError(hops, 'CANCELLED', 'the fetch was cancelled', { cause })
}

interface Failure {
  readonly code: AssetErrorCode
  readonly reason: string
}

/** The error for a request that got no answer: what undici or the socket threw, in plain words. */
export function connectionError(
  hops: readonly URL[],
  cause: unknown,
  limits: HttpLimits,
): AssetError {
  // A guard in the agent's `lookup` or `connect` speaks for itself.
  const own = assetErrorIn(cause)
  if (own) return httpError(hops, own.code, own.message, { cause })
  const { code, reason } = describe(codeOf(cause), hops, limits)
  return httpError(hops, code, reason, { cause })
}

/** The error for a body that was cut short. */
export function bodyError(
  hops: readonly URL[],
  cause: unknown,
  limits: HttpLimits,
  bytes: { readonly gotBytes: number; readonly announcedBytes: number | undefined },
): AssetError {
  const own = assetErrorIn(cause)
  if (own) return own.uri === undefined ? httpError(hops, own.code, own.message) : own
  const code = codeOf(cause)
  const why =
    code === 'UND_ERR_BODY_TIMEOUT'
      ? `no data came for ${limits.idleTimeoutMs} ms`
      : code === parserFailure
        ? 'the body is not valid HTTP'
        : 'the connection was closed'
  const of = bytes.announcedBytes === undefined ? ' bytes' : ` of ${bytes.announcedBytes} bytes`
  const reason = `${why} after ${bytes.gotBytes}${of}`
  return httpError(hops, 'UPSTREAM_UNAVAILABLE', reason, { cause })
}

function assetErrorIn(error: unknown): AssetError | undefined {
  if (error instanceof AssetError) return error
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof AssetError ? cause : undefined
}

const parserFailure = 'HPE'

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  // undici's parser names what it does not understand only now and then.
  if (error.name === 'HTTPParserError') return parserFailure
  if ('code' in error && typeof error.code === 'string') return error.code
  return codeOf(error.cause)
}

/**
 * A certificate that cannot be trusted stays so until a person does something, and what comes over
 * such a connection is not the content: so it is PERMISSION_DENIED, which no client tries again. A
 * handshake that fails otherwise may be a load balancer's bad moment.
 */
const certificateReasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_REVOKED: 'was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'leads to an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'comes from an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'comes from an authority that is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another host',
  HOSTNAME_MISMATCH: 'is for another host',
}

function describe(code: string, hops: readonly URL[], limits: HttpLimits): Failure {
  const url = hops.at(-1)
  const certificate = Object.hasOwn(certificateReasons, code) ? certificateReasons[code] : undefined
  if (certificate !== undefined) {
    const reason = `the TLS certificate of ${url?.hostname} ${certificate}`
    return { code: 'PERMISSION_DENIED', reason }
  }
  if (code === 'UND_ERR_INVALID_ARG') {
    // undici names the header or part of the request here, never its value; we name neither.
    return { code: 'INVALID_ARGUMENT', reason: 'a request header is not valid in HTTP' }
  }
  return { code: 'UPSTREAM_UNAVAILABLE', reason: transientReason(code, url, limits) }
}

function transientReason(code: string, url: URL | undefined, limits: HttpLimits): string {
  const host = url?.hostname ?? ''
  if (code === 'ENOTFOUND' || code.startsWith('EAI_')) return `cannot resolve host ${host}`
  if (code === parserFailure) return 'the answer is not valid HTTP'
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return `the TLS handshake failed (${code})`
  switch (code) {
    case 'ECONNREFUSED':
      return `${url?.host} refused the connection`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `${host} cannot be reached`
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return `no connection within ${limits.connectTimeoutMs} ms`
    case 'UND_ERR_HEADERS_TIMEOUT':
      return `no answer within ${limits.headersTimeoutMs} ms`
    case 'UND_ERR_HEADERS_OVERFLOW':
      return `the response headers are larger than ${limits.headerBytesMax} bytes`
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'the connection was closed before an answer came'
    case 'UND_ERR_CLOSED':
    case 'UND_ERR_DESTROYED':
      return 'the server is shutting down'
    default:
      return `the request failed (${code || 'unknown error'})`
  }
}
