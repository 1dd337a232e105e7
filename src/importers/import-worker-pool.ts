import { Worker } from 'node:worker_threads'
import { abortError } from '../util/abort-error.ts'
import { siblingModule } from '../util/sibling-module.ts'

export interface ImportWorkerPoolOptions {
  readonly workersMax: number
}

/** Trees of 2 million entries take less than 1.5 GiB; beyond this, a job fails and not the server. */
const workerHeapMiB = 3072

/** Keeps a few import workers, since starting one costs as much as a small archive. */
export class ImportWorkerPool implements AsyncDisposable {
  readonly #workersMax: number
  readonly #idle: Worker[] = []
  readonly #all = new Set<Worker>()
  readonly #waiting: (() => void)[] = []
  #busy = 0
  #started = 0

  constructor({ workersMax }: ImportWorkerPoolOptions) {
    this.#workersMax = workersMax
  }

  /**
   * Lends a worker to the job. If the job fails the worker is ended, since it may be in the middle of
   * anything; so an abort needs only to make the job fail.
   */
  async use<T>(signal: AbortSignal, job: (worker: Worker) => Promise<T>): Promise<T> {
    await this.#slot(signal)
    const worker = this.#idle.pop() ?? this.#start()
    worker.ref()
    try {
      const result = await job(worker)
      worker.unref()
      this.#idle.push(worker)
      return result
    } catch (error) {
      this.#all.delete(worker)
      await worker.terminate()
      throw error
    } finally {
      this.#busy--
      this.#waiting.shift()?.()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  async #slot(signal: AbortSignal): Promise<void> {
    while (this.#busy >= this.#workersMax) {
      if (signal.aborted) break
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', leave)
          resolve()
        }
        const leave = () => {
          this.#waiting.splice(this.#waiting.indexOf(wake), 1)
          resolve()
        }
        this.#waiting.push(wake)
        signal.addEventListener('abort', leave, { once: true })
      })
    }
    if (signal.aborted) {
      // Whoever woke us meant to wake somebody.
      if (this.#busy < this.#workersMax) this.#waiting.shift()?.()
      throw abortError(signal, 'the import')
    }
    this.#busy++
  }

  #start(): Worker {
    const worker = new Worker(siblingModule(import.meta.url, 'import-worker'), {
      name: `import-${++this.#started}`,
      resourceLimits: { maxOldGenerationSizeMb: workerHeapMiB, maxYoungGenerationSizeMb: 16 },
    })
    this.#all.add(worker)
    const forget = () => {
      this.#all.delete(worker)
      const index = this.#idle.indexOf(worker)
      if (index >= 0) this.#idle.splice(index, 1)
    }
    // A job listens for itself; this one keeps a failure of an idle worker from ending the process.
    worker.on('error', forget)
    worker.on('exit', forget)
    return worker
  }
}
