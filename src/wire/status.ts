import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import {
  AssetError,
  type AssetErrorCode,
  type FieldViolation,
  toAssetError,
} from '../asset/errors.ts'
import { google } from '../gen/reapi.js'
import { durationFromProto, durationToProto } from './times.ts'

const { BadRequest, ErrorInfo, RetryInfo, Status } = google.rpc

type ProtoStatus = google.rpc.Status.$Properties
type ProtoAny = google.protobuf.Any.$Properties

/**
 * The code of the RPC for each error. An inline status differs in one: by the proto a failed
 * consistency check is ABORTED there, while as an RPC it is FAILED_PRECONDITION, which clients do
 * not retry.
 */
const rpcCodes: Readonly<Record<AssetErrorCode, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  OUT_OF_RANGE: status.OUT_OF_RANGE,
  NOT_FOUND: status.NOT_FOUND,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  CHECKSUM_MISMATCH: status.FAILED_PRECONDITION,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  UPSTREAM_UNAVAILABLE: status.UNAVAILABLE,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  DATA_LOSS: status.DATA_LOSS,
  INTERNAL: status.INTERNAL,
}

/** Where a client has only the gRPC code to go by. */
const domainCodes: Readonly<Partial<Record<status, AssetErrorCode>>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.ALREADY_EXISTS]: 'FAILED_PRECONDITION',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [status.UNAUTHENTICATED]: 'PERMISSION_DENIED',
  [status.RESOURCE_EXHAUSTED]: 'RESOURCE_EXHAUSTED',
  [status.FAILED_PRECONDITION]: 'FAILED_PRECONDITION',
  [status.ABORTED]: 'FAILED_PRECONDITION',
  [status.OUT_OF_RANGE]: 'OUT_OF_RANGE',
  [status.UNIMPLEMENTED]: 'UNIMPLEMENTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.DATA_LOSS]: 'DATA_LOSS',
}

/**
 * Clients refuse response headers beyond 8 KiB in all (grpc-java's default). The message may take
 * 2 KiB once it is percent-encoded; the details 3 KiB, which are 4 KiB in base64 and hold the
 * message once more.
 */
const encodedMessageBytesMax = 2048
const detailsBytesMax = 3072
const violationsMax = 16
const textCharsMax = 256

/** Told to clients when an origin is down and did not say for how long. */
const retryDelayDefaultMs = 1000

const errorDomain = 'larder'
const detailsKey = 'grpc-status-details-bin'
const typePrefix = 'type.googleapis.com/'

/** A status as grpc-js wants it. */
export interface RpcStatus {
  readonly code: status
  readonly details: string
  readonly metadata: Metadata | null
}

/** The status with which a failed call ends. */
export function toRpcStatus(error: unknown): RpcStatus {
  const assetError = toAssetError(error)
  const code = rpcCodes[assetError.code]
  const message = fitMessage(assetError.message)
  const details = fitDetails(assetError, code, message)
  if (details.length === 0) return { code, details: message, metadata: null }
  const metadata = new Metadata()
  metadata.set(detailsKey, Buffer.from(Status.encode({ code, message, details }).finish()))
  return { code, details: message, metadata }
}

/** The status inside a response: of a fetch (`fetch.failures: inline`) or of one blob in a batch. */
export function toInlineStatus(error: unknown): ProtoStatus {
  const assetError = toAssetError(error)
  const mismatch = assetError.code === 'CHECKSUM_MISMATCH'
  const code = mismatch ? status.ABORTED : rpcCodes[assetError.code]
  const message = fitMessage(assetError.message)
  return { code, message, details: fitDetails(assetError, code, message) }
}

/** The name of a gRPC status code, e.g. `NOT_FOUND`: for logs and metric labels. */
export function statusName(code: number): string {
  return status[code] ?? `CODE_${code}`
}

/** What a client of another server (or of this one) got, as an error of the domain. */
export function fromServiceError(error: ServiceError): AssetError {
  const bytes = error.metadata?.get(detailsKey)[0]
  const decoded = Buffer.isBuffer(bytes) ? decodeStatus(bytes) : undefined
  const code = Number.isInteger(error.code) ? error.code : status.UNKNOWN
  return fromStatus({ code, message: error.details, details: decoded?.details ?? [] }, error)
}

/** An inline status that is not OK, as an error of the domain. */
export function fromStatus(message: ProtoStatus, cause?: unknown): AssetError {
  const code = (message.code ?? status.UNKNOWN) as status
  const found = readDetails(message.details ?? [])
  const text = message.message || `the server answered ${statusName(code)} without a message`
  return new AssetError(found.code ?? domainCodes[code] ?? 'INTERNAL', text, {
    cause,
    violations: found.violations,
    ...(found.retryAfterMs === undefined ? {} : { retryAfterMs: found.retryAfterMs }),
    ...(found.uri === undefined ? {} : { uri: found.uri }),
  })
}

/** Well-formed text that stays below its limit after grpc-js has percent-encoded it. */
function fitMessage(message: string): string {
  // grpc-js calls encodeURI, which throws on half a surrogate pair.
  const text = message.toWellFormed()
  if (encodeURI(text).length <= encodedMessageBytesMax) return text
  let low = 0
  let high = text.length
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const cut = text.slice(0, middle).toWellFormed()
    if (encodeURI(cut).length <= encodedMessageBytesMax - '%E2%80%A6'.length) low = middle
    else high = middle - 1
  }
  return `${text.slice(0, low).toWellFormed()}…`
}

function fitDetails(error: AssetError, code: status, message: string): ProtoAny[] {
  let room = detailsBytesMax - Buffer.byteLength(message)
  return detailsOf(error, code).filter((detail) => {
    room -= (detail.value?.byteLength ?? 0) + 64
    return room >= 0
  })
}

function detailsOf(error: AssetError, code: status): ProtoAny[] {
  const details: ProtoAny[] = []
  const retryAfterMs =
    error.retryAfterMs ?? (error.code === 'UPSTREAM_UNAVAILABLE' ? retryDelayDefaultMs : undefined)
  if (retryAfterMs !== undefined) {
    const bytes = RetryInfo.encode({ retryDelay: durationToProto(retryAfterMs) }).finish()
    details.push({ type_url: `${typePrefix}google.rpc.RetryInfo`, value: bytes })
  }
  // Only where the gRPC code alone would not say which error it was, so that misses stay cheap.
  if (domainCodes[code] !== error.code || error.uri !== undefined) {
    const metadata: Record<string, string> =
      error.uri === undefined ? {} : { uri: shorten(error.uri) }
    const info = { reason: error.code, domain: errorDomain, metadata }
    details.push({
      type_url: `${typePrefix}google.rpc.ErrorInfo`,
      value: ErrorInfo.encode(info).finish(),
    })
  }
  if (error.violations.length > 0) {
    const fieldViolations = error.violations.slice(0, violationsMax).map((violation) => ({
      field: shorten(violation.field),
      description: shorten(violation.description),
    }))
    const bytes = BadRequest.encode({ fieldViolations }).finish()
    details.push({ type_url: `${typePrefix}google.rpc.BadRequest`, value: bytes })
  }
  return details
}

function shorten(text: string): string {
  const short = text.length > textCharsMax ? `${text.slice(0, textCharsMax)}…` : text
  return short.toWellFormed()
}

interface FoundDetails {
  code: AssetErrorCode | undefined
  violations: FieldViolation[]
  retryAfterMs: number | undefined
  uri: string | undefined
}

function readDetails(details: readonly ProtoAny[]): FoundDetails {
  const found: FoundDetails = {
    code: undefined,
    violations: [],
    retryAfterMs: undefined,
    uri: undefined,
  }
  for (const detail of details) {
    try {
      readDetail(detail, found)
    } catch {
      // Details are extra: what cannot be read must not hide the error itself.
    }
  }
  return found
}

function readDetail(detail: ProtoAny, found: FoundDetails): void {
  const bytes = detail.value ?? new Uint8Array()
  switch (detail.type_url?.slice(detail.type_url.lastIndexOf('/') + 1)) {
    case 'google.rpc.RetryInfo':
      found.retryAfterMs = durationFromProto(RetryInfo.decode(bytes).retryDelay, 'retry_delay')
      break
    case 'google.rpc.ErrorInfo': {
      const info = ErrorInfo.decode(bytes)
      if (info.domain !== errorDomain) break
      if (Object.hasOwn(rpcCodes, info.reason)) found.code = info.reason as AssetErrorCode
      found.uri = info.metadata.uri
      break
    }
    case 'google.rpc.BadRequest':
      for (const { field, description } of BadRequest.decode(bytes).fieldViolations) {
        found.violations.push({ field: field ?? '', description: description ?? '' })
      }
      break
  }
}

function decodeStatus(bytes: Buffer): google.rpc.Status | undefined {
  try {
    return Status.decode(bytes)
  } catch {
    return undefined
  }
}
