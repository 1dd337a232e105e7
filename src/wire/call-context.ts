import { type Deadline, type Metadata, status } from '@grpc/grpc-js'
import { AssetError, toAssetError } from '../asset/errors.ts'
import type { CallContext } from './handlers.ts'
import { toRpcStatus } from './status.ts'

/** A client whose deadline passes resets the call, often before the clock here has got there. */
const deadlineSlackMs = 50

/** What this room needs of a call of grpc-js, whichever its kind. */
export interface TransportCall {
  readonly metadata: Metadata
  getPeer(): string
  getDeadline(): Deadline
  on(event: 'cancelled', listener: () => void): unknown
}

/** A call while it runs. Made for each call, so everything that costs is made when asked for. */
export class ServerCallContext implements CallContext {
  readonly path: string
  /** Wakes whoever waits for the client to take a message. */
  wakeOnCancel: (() => void) | undefined
  readonly #call: TransportCall
  #controller: AbortController | undefined
  #cancellation: AssetError | undefined
  #finished = false

  constructor(path: string, call: TransportCall) {
    this.path = path
    this.#call = call
    call.on('cancelled', () => this.#cancel())
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#cancellation !== undefined) this.#controller.abort(this.#cancellation)
    return this.#controller.signal
  }

  get peer(): string {
    return this.#call.getPeer()
  }

  /** Why the client no longer waits, undefined as long as it does. */
  get cancellation(): AssetError | undefined {
    return this.#cancellation
  }

  metadata(key: string): string | undefined {
    return firstValue(this.#call.metadata, key)
  }

  /** From here on the call counts as answered: grpc-js says "cancelled" after every answer. */
  finish(): void {
    this.#finished = true
  }

  #cancel(): void {
    if (this.#finished || this.#cancellation !== undefined) return
    const deadline = Number(this.#call.getDeadline())
    this.#cancellation =
      deadline <= Date.now() + deadlineSlackMs
        ? new AssetError('DEADLINE_EXCEEDED', 'the deadline of the call has passed')
        : new AssetError('CANCELLED', 'the client has cancelled the call')
    this.#controller?.abort(this.#cancellation)
    this.wakeOnCancel?.()
  }
}

/**
 * First value of a key; base64 for keys ending in `-bin`. Node joins a header that came twice to
 * `a, a`; Bazel 4 sends the values of `--remote_header` twice, so two equal halves are one value.
 */
export function firstValue(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key)[0]
  if (value === undefined) return undefined
  if (typeof value !== 'string') return value.toString('base64')
  const half = (value.length - 2) / 2
  const isTwice = value.startsWith(', ', half) && value.slice(0, half) === value.slice(half + 2)
  return isTwice ? value.slice(0, half) : value
}

/** The error with which a call ends, and whether the server itself is to blame. */
export function failureOf(context: ServerCallContext, error: unknown) {
  const cancellation = context.cancellation
  if (cancellation !== undefined) return { ...toRpcStatus(cancellation), isUnexpected: false }
  const assetError = toAssetError(error)
  if (error instanceof AssetError) {
    return { ...toRpcStatus(assetError), isUnexpected: assetError.code === 'INTERNAL' }
  }
  // The text of an error that nobody foresaw may hold anything: it goes to the log alone.
  const details = 'internal error: the log of the server has more'
  return { code: status.INTERNAL, details, metadata: null, isUnexpected: true }
}
