import { Worker } from 'node:worker_threads'
import { AssetError } from '../asset/errors.ts'
import type {
  ErrorMessage,
  InputOf,
  OutputOf,
  WriterCalls,
  WriterReport,
  WriterRequest,
} from './writer-messages.ts'

export interface WriterThreadOptions<Notice> {
  /** What the thread writes, for messages, e.g. `CAS`. */
  readonly label: string
  /** Module that calls `serveWriter`. */
  readonly module: URL
  /** Passed to the host's `open`. */
  readonly data: unknown
  /** Called with the host's notice at start and after every group, before its calls resolve. */
  readonly onNotice?: (notice: Notice) => void
}

interface PendingCall {
  readonly resolve: (output: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * The caller's side of the one thread that writes a SQLite database. Calls that arrive while a
 * transaction runs are committed together in the next one, so no caller ever waits for a lock.
 * A call resolves when it is committed. If the thread dies, all calls reject with UNAVAILABLE.
 */
export class WriterThread<Calls extends WriterCalls<Calls>, Notice = undefined>
  implements AsyncDisposable
{
  readonly #label: string
  readonly #worker: Worker
  readonly #pending = new Map<number, PendingCall>()
  readonly #exited: Promise<void>
  readonly #onNotice: ((notice: Notice) => void) | undefined
  #nextId = 1
  #stopping = false
  #death: AssetError | undefined

  /** Resolves when the host has opened its database; rejects with the host's own error. */
  static async start<Calls extends WriterCalls<Calls>, Notice = undefined>(
    options: WriterThreadOptions<Notice>,
  ): Promise<WriterThread<Calls, Notice>> {
    const worker = new Worker(options.module, { workerData: options.data, name: options.label })
    const ready = Promise.withResolvers<void>()
    const thread = new WriterThread<Calls, Notice>(options, worker, ready)
    await ready.promise
    return thread
  }

  private constructor(
    options: WriterThreadOptions<Notice>,
    worker: Worker,
    ready: PromiseWithResolvers<void>,
  ) {
    this.#label = options.label
    this.#worker = worker
    this.#onNotice = options.onNotice
    worker.on('message', (report: WriterReport) => this.#receive(report, ready))
    worker.on('error', (error) => this.#die(error instanceof Error ? error : undefined))
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#die(undefined)
        if (this.#death) ready.reject(this.#death)
        resolve()
      })
    })
  }

  /** Runs one handler of the host. What is transferred must not be used afterwards. */
  call<Name extends keyof Calls & string>(
    name: Name,
    input: InputOf<Calls[Name]>,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<OutputOf<Calls[Name]>> {
    if (this.#death) return Promise.reject(this.#death)
    if (this.#stopping) return Promise.reject(stoppedError(this.#label))
    const id = this.#nextId++
    return new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      try {
        this.#post({ kind: 'call', id, name, input }, transfer)
      } catch (error) {
        this.#pending.delete(id)
        reject(error)
      }
    }) as Promise<OutputOf<Calls[Name]>>
  }

  /** Lets the calls under way finish, then ends the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stopping && !this.#death) {
      this.#stopping = true
      this.#post({ kind: 'stop' }, [])
    }
    await this.#exited
  }

  #post(request: WriterRequest, transfer: readonly ArrayBuffer[]): void {
    this.#worker.postMessage(request, transfer)
  }

  #receive(report: WriterReport, ready: PromiseWithResolvers<void>): void {
    if (report.kind === 'failed') {
      ready.reject(revive(report.error))
      return
    }
    this.#onNotice?.(report.notice as Notice)
    if (report.kind === 'ready') {
      ready.resolve()
      return
    }
    for (const reply of report.replies) {
      const call = this.#pending.get(reply.id)
      this.#pending.delete(reply.id)
      if (reply.error) call?.reject(revive(reply.error))
      else call?.resolve(reply.output)
    }
  }

  #die(cause: Error | undefined): void {
    if (this.#death) return
    this.#death = this.#stopping
      ? stoppedError(this.#label)
      : new AssetError(
          'UNAVAILABLE',
          `the ${this.#label} writer has stopped unexpectedly${cause ? `: ${cause.message}` : ''}; ` +
            'restart the server',
          { cause },
        )
    for (const call of this.#pending.values()) call.reject(this.#death)
    this.#pending.clear()
  }
}

function stoppedError(label: string): AssetError {
  return new AssetError('UNAVAILABLE', `the ${label} is closed`)
}

function revive(message: ErrorMessage): AssetError {
  return new AssetError(message.code, message.message)
}
