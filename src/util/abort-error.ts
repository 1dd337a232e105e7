import { AssetError } from '../asset/errors.ts'

/**
 * What a fired signal means to the caller: DEADLINE_EXCEEDED if it fired for time, CANCELLED
 * otherwise; a reason that is an AssetError already is kept.
 * @param what the work that was stopped, as the subject of a sentence
 */
export function abortError(signal: AbortSignal, what: string): AssetError {
  const { reason } = signal
  if (reason instanceof AssetError) return reason
  const ranOut = reason instanceof Error && reason.name === 'TimeoutError'
  return ranOut
    ? new AssetError('DEADLINE_EXCEEDED', `${what} took too long`, { cause: reason })
    : new AssetError('CANCELLED', `${what} was cancelled`, { cause: reason })
}

export function throwIfAborted(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw abortError(signal, what)
}
