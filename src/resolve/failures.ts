import { AssetError, type AssetErrorCode } from '../asset/errors.ts'

/** Why one URI of a request did not give the content. */
export interface UriFailure {
  /** Fit for display. */
  readonly uri: string
  readonly error: AssetError
  /** True if another try, soon, may succeed. */
  readonly mayPass: boolean
}

/**
 * The code to answer with where several URIs failed in different ways: what may pass outranks what
 * is final, so that a client comes back; a wrong checksum outranks a refusal, since it is the more
 * surprising; "not found" is answered only if nothing else is to be said.
 */
const ranks: readonly AssetErrorCode[] = [
  'UPSTREAM_UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
  'CHECKSUM_MISMATCH',
  'PERMISSION_DENIED',
  'INVALID_ARGUMENT',
  'UNIMPLEMENTED',
  'FAILED_PRECONDITION',
  'DATA_LOSS',
  'NOT_FOUND',
]

/** One error for all failures; its message tells what each URI said. */
export function worstFailure(failures: readonly UriFailure[]): AssetError {
  const sorted = failures.toSorted((a, b) => rank(a.error.code) - rank(b.error.code))
  const worst = sorted[0]
  if (!worst) throw new Error('a request has at least one URI')
  if (failures.length === 1) return worst.error
  const reasons = failures.map(({ error }) => error.message).join('; ')
  const retryAfterMs = soonestRetryMs(failures, worst.error.code)
  return new AssetError(
    worst.error.code,
    `none of ${failures.length} URIs gave the content: ${reasons}`,
    {
      cause: worst.error,
      uri: worst.uri,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  )
}

/** One busy mirror must not keep the client from another that may be well again at once. */
function soonestRetryMs(failures: readonly UriFailure[], code: AssetErrorCode): number | undefined {
  const waits = failures
    .filter(({ error }) => error.code === code)
    .map(({ error }) => error.retryAfterMs ?? 0)
  return Math.min(...waits) || undefined
}

function rank(code: AssetErrorCode): number {
  const found = ranks.indexOf(code)
  return found < 0 ? ranks.length : found
}
