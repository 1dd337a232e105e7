import { Secret } from '../asset/secret.ts'

const redacted = '<redacted>'

/** Field names, lower case, whose values are credentials wherever they turn up. */
const secretNames = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'private-token',
  'job-token',
  'x-api-key',
  'x-auth-token',
  'x-amz-security-token',
  'password',
  'secret',
  'token',
  'bazel.auth_headers',
])

/** Deeper than any field of ours; what lies below is somebody's object graph, not a log field. */
const depthMax = 6
/** Bytes of a cause chain are bounded by its links and the length of each text. */
const causesMax = 5
const textLengthMax = 8192

/**
 * The value as it may be printed: Secrets, values under names of credentials and userinfo in URLs
 * are replaced. Never throws.
 */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrubText(value)
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Secret) return redacted
  if (value instanceof Error) return serializeError(value, false)
  if (value instanceof URL) return scrubText(value.href)
  if (value instanceof Date) return value
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`
  if (depth >= depthMax) return '…'
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth + 1))
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, isSecretName(name) ? redacted : scrub(inner, depth + 1)]),
  )
}

function isSecretName(name: unknown): boolean {
  const lower = String(name).toLowerCase()
  return secretNames.has(lower) || lower.startsWith('http_header')
}

/** Cuts `user:password@` out of anything that looks like a URL, anywhere in the text. */
function scrubText(text: string): string {
  const short = text.length > textLengthMax ? `${text.slice(0, textLengthMax)}…` : text
  if (!short.includes('@')) return short
  return short.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]*(?:@[^\s/?#@]*)*@/gi, '$1')
}

export interface SerializedError {
  readonly code?: string
  readonly message: string
  readonly causes?: readonly string[]
  readonly stack?: string
}

/** Code, message and the chain of causes; the stack only if asked for. */
export function serializeError(error: unknown, withStack: boolean): SerializedError {
  if (!(error instanceof Error)) return { message: scrubText(String(error)) }
  const causes: string[] = []
  for (
    let cause = error.cause;
    cause !== undefined && causes.length < causesMax;
    cause = cause instanceof Error ? cause.cause : undefined
  ) {
    causes.push(describe(cause))
  }
  const code = codeOf(error)
  return {
    ...(code === undefined ? {} : { code }),
    message: scrubText(error.message),
    ...(causes.length > 0 ? { causes } : {}),
    ...(withStack && error.stack ? { stack: scrubText(error.stack) } : {}),
  }
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return scrubText(String(cause))
  const code = codeOf(cause)
  return scrubText(code === undefined ? cause.message : `${code}: ${cause.message}`)
}

function codeOf(error: Error): string | undefined {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : undefined
}
