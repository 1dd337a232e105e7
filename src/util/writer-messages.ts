import { AssetError, type AssetErrorCode } from '../asset/errors.ts'

/** Calls that a writer thread answers: each takes one value and returns one. */
export type WriterCalls<Calls> = { readonly [Name in keyof Calls]: (input: never) => unknown }

export type InputOf<Call> = Call extends (input: infer Input) => unknown ? Input : never
export type OutputOf<Call> = Call extends (input: never) => infer Output ? Output : never

/** Main thread → writer thread. */
export type WriterRequest =
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly kind: 'stop' }

/** Writer thread → main thread. */
export type WriterReport =
  | { readonly kind: 'ready'; readonly notice: unknown }
  | { readonly kind: 'failed'; readonly error: ErrorMessage }
  | { readonly kind: 'group'; readonly replies: readonly WriterReply[]; readonly notice: unknown }

export interface WriterReply {
  readonly id: number
  readonly output?: unknown
  readonly error?: ErrorMessage
}

/** An AssetError as it crosses threads, where classes are lost. */
export interface ErrorMessage {
  readonly code: AssetErrorCode
  readonly message: string
}

/** What went wrong in the storage, by whether another try or more space may help. */
export function errorMessage(error: unknown): ErrorMessage {
  if (error instanceof AssetError) return { code: error.code, message: error.message }
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL') {
    return { code: 'RESOURCE_EXHAUSTED', message: `the disk is full: ${message}` }
  }
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') {
    return { code: 'DATA_LOSS', message: `the database is damaged: ${message}` }
  }
  return { code: code === '' ? 'INTERNAL' : 'UNAVAILABLE', message: `storage failed: ${message}` }
}

/** The same for code that throws in its own thread. */
export function storageError(error: unknown): AssetError {
  if (error instanceof AssetError) return error
  const { code, message } = errorMessage(error)
  return new AssetError(code, message, { cause: error })
}

/** The system's or SQLite's code of an error, e.g. ENOENT; empty if it has none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}
