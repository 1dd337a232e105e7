/**
 * The one error family of the domain. The code is stable and is what callers decide by; the message
 * is for people and must hold no secret. Only `wire/status.ts` knows which gRPC status a code becomes.
 */
export type AssetErrorCode =
  | 'INVALID_ARGUMENT'
  | 'OUT_OF_RANGE'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'CHECKSUM_MISMATCH'
  | 'FAILED_PRECONDITION'
  | 'UPSTREAM_UNAVAILABLE'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'RESOURCE_EXHAUSTED'
  | 'UNIMPLEMENTED'
  | 'DATA_LOSS'
  | 'INTERNAL'

/** One field of a request that was wrong, for google.rpc.BadRequest. */
export interface FieldViolation {
  /** Path of the field in the request, e.g. `qualifiers.name`. */
  readonly field: string
  readonly description: string
}

export interface AssetErrorOptions {
  readonly cause?: unknown
  readonly violations?: readonly FieldViolation[]
  /** When another try may succeed, in milliseconds from now (google.rpc.RetryInfo). */
  readonly retryAfterMs?: number
  /** The URI that the error is about, fit for display. */
  readonly uri?: string
}

export class AssetError extends Error {
  override readonly name = 'AssetError'
  readonly code: AssetErrorCode
  readonly violations: readonly FieldViolation[]
  readonly retryAfterMs: number | undefined
  readonly uri: string | undefined

  constructor(code: AssetErrorCode, message: string, options: AssetErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.violations = options.violations ?? []
    this.retryAfterMs = options.retryAfterMs
    this.uri = options.uri
  }
}

/** INVALID_ARGUMENT about one field; the message names the field as well. */
export function invalidField(field: string, description: string): AssetError {
  return new AssetError('INVALID_ARGUMENT', `${field}: ${description}`, {
    violations: [{ field, description }],
  })
}

/** True if the error says that the thing is not there: the one error that becomes a miss. */
export function isNotFound(error: unknown): error is AssetError {
  return error instanceof AssetError && error.code === 'NOT_FOUND'
}

/** Any thrown value as an AssetError; what is not one already becomes INTERNAL. */
export function toAssetError(error: unknown): AssetError {
  if (error instanceof AssetError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new AssetError('INTERNAL', message, { cause: error })
}
