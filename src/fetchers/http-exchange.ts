import type { Dispatcher } from 'undici'
import { AssetError } from '../asset/errors.ts'
import type { HttpLimits } from './http-limits.ts'

export type ResponseHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** The answer to one GET. */
export interface HttpAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ResponseHeaders
  /** As it comes; ends only if it ended by the rules of HTTP, otherwise throws what undici says. */
  readonly body: AsyncIterable<Uint8Array>
  /** Closes the connection unless the whole answer has come, in which case it can be used again. */
  close(): void
}

export interface ExchangeOptions {
  readonly dispatcher: Dispatcher
  readonly url: URL
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly limits: Pick<HttpLimits, 'headersTimeoutMs' | 'idleTimeoutMs'>
  readonly signal: AbortSignal
}

/**
 * How much of a body may wait to be read before the socket is paused. Twice as much may be in
 * memory, since a batch is handed out while the next one comes. 64 KiB chunks through a queue
 * measured 2.2 GB/s, against 0.8 to 1.2 with the iterator of `Dispatcher.request`.
 */
const queueBytesMax = 512 * 1024

/** Sends one GET and waits for the headers of its answer. Follows nothing, decides nothing. */
export function exchange(options: ExchangeOptions): Promise<HttpAnswer> {
  const { dispatcher, url, headers, limits, signal } = options
  const running = new Exchange(signal)
  if (signal.aborted) return running.answer
  dispatcher.dispatch(
    {
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers,
      headersTimeout: limits.headersTimeoutMs,
      bodyTimeout: limits.idleTimeoutMs,
    },
    running,
  )
  return running.answer
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #answer = Promise.withResolvers<HttpAnswer>()
  readonly #signal: AbortSignal
  #controller: Dispatcher.DispatchController | undefined
  #chunks: Uint8Array[] = []
  #queuedBytes = 0
  #isComplete = false
  #failure: Error | undefined
  /** We stopped it ourselves, so what is queued is not handed out any more. */
  #isStopped = false
  #wake: (() => void) | undefined
  readonly #onAbort = () => this.#stop(new AssetError('CANCELLED', 'the fetch was cancelled'))

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (signal.aborted) this.#onAbort()
  }

  get answer(): Promise<HttpAnswer> {
    return this.#answer.promise
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Stopped while the connection was being made, or while undici was trying again.
    if (this.#failure) controller.abort(this.#failure)
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHeaders,
  ): void {
    if (status < 200) return
    this.#answer.resolve({ status, headers, body: this.#read(), close: () => this.#close() })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#failure) return
    this.#chunks.push(chunk)
    this.#queuedBytes += chunk.byteLength
    if (this.#queuedBytes >= queueBytesMax) controller.pause()
    this.#wakeReader()
  }

  onResponseEnd(): void {
    if (this.#failure) return
    this.#isComplete = true
    this.#settle()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isComplete) return
    this.#failure ??= error
    this.#answer.reject(this.#failure)
    this.#settle()
  }

  #close(): void {
    this.#stop(new AssetError('CANCELLED', 'the body was given up before its end'))
  }

  #stop(reason: Error): void {
    this.#isStopped = true
    this.#chunks = []
    if (!this.#isComplete && !this.#failure) {
      this.#failure = reason
      this.#controller?.abort(reason)
      this.#answer.reject(reason)
    }
    this.#settle()
  }

  #settle(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#wakeReader()
  }

  #wakeReader(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  async *#read(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      for (const chunk of this.#take()) {
        if (this.#isStopped) break
        yield chunk
      }
      if (this.#chunks.length > 0) continue
      if (this.#failure) throw this.#failure
      if (this.#isComplete) {
        if (!this.#isStopped) return
        throw new AssetError('CANCELLED', 'the body was given up before its end')
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }

  #take(): readonly Uint8Array[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#queuedBytes = 0
    if (this.#controller?.paused && !this.#failure && !this.#isComplete) this.#controller.resume()
    return chunks
  }
}
