import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import type { Digest, DigestFunction } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { BlobStore, BlobUpload } from '../cas/blob-store.ts'
import { trustedBlob, type VerifiedBlob } from '../cas/verified-blob.ts'
import { abortError } from '../util/abort-error.ts'
import type {
  FoundBlob,
  ImportJob,
  MainMessage,
  PackedBlob,
  WorkerMessage,
} from './job-messages.ts'

export interface ImportJobOptions {
  readonly job: ImportJob
  readonly store: BlobStore
  /** The packed bytes of an archive job. */
  readonly archive?: AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

/** Look-ups between two turns of the event loop. */
const findsPerTurn = 50

/**
 * Has a worker do the job, and puts what it sends into the store. Resolves to the root's digest.
 * After a rejection the worker is in an unknown state.
 */
export async function runImportJob(worker: Worker, options: ImportJobOptions): Promise<Digest> {
  const { port1: port, port2 } = new MessageChannel()
  const { promise, resolve, reject } = Promise.withResolvers<Digest>()
  const onAbort = () => reject(abortError(options.signal, 'the import'))
  const onExit = () => reject(new AssetError('INTERNAL', 'the import worker ended unexpectedly'))
  const onError = (error: Error) => reject(workerError(error))
  worker.on('error', onError).on('exit', onExit)
  options.signal.addEventListener('abort', onAbort, { once: true })
  await using host = new JobHost(port, options, resolve)
  // One message after the other: an upload's chunks have an order, and a batch must not be
  // acknowledged before it is stored.
  let last: Promise<void> = Promise.resolve()
  port.on('message', (message: WorkerMessage) => {
    if (message.type === 'batch') host.take(message).catch(reject)
    else {
      last = last.then(() => host.take(message))
      last.catch(reject)
    }
  })
  try {
    if (options.signal.aborted) onAbort()
    else worker.postMessage({ job: options.job, port: port2 }, [port2])
    return await promise
  } finally {
    worker.off('error', onError).off('exit', onExit)
    options.signal.removeEventListener('abort', onAbort)
    port.close()
  }
}

/** Answers what the worker sends. */
class JobHost implements AsyncDisposable {
  readonly #port: MessagePort
  readonly #store: BlobStore
  readonly #digestFunction: DigestFunction
  readonly #chunks: AsyncIterator<Uint8Array> | undefined
  readonly #done: (root: Digest) => void
  #upload: BlobUpload | undefined
  #isDisposed = false

  constructor(port: MessagePort, options: ImportJobOptions, done: (root: Digest) => void) {
    this.#port = port
    this.#store = options.store
    this.#digestFunction = options.job.selection.digestFunction
    this.#chunks = options.archive?.[Symbol.asyncIterator]()
    this.#done = done
  }

  async take(message: WorkerMessage): Promise<void> {
    if (this.#isDisposed) return
    switch (message.type) {
      case 'more':
        return this.#sendChunk()
      case 'batch':
        await this.#store.putBatch(message.blobs.map((blob) => this.#blob(message.memory, blob)))
        return this.#send({ type: 'taken' })
      case 'upload-begin':
        this.#upload = this.#store.upload({
          functions: this.#digestFunction === 'GITSHA1' ? [] : [this.#digestFunction],
          sizeBytesMax: message.sizeBytes,
        })
        return
      case 'upload-chunk':
        await this.#upload?.write(new Uint8Array(message.memory))
        return this.#send({ type: 'taken' })
      case 'upload-end':
        return this.#endUpload(message.gitSha1)
      case 'find':
        return this.#send({ type: 'found', blobs: await this.#find(message.gitIds) })
      case 'done':
        return this.#done(this.#digest(this.#digestFunction, message.hash, message.sizeBytes))
      case 'failed':
        throw new AssetError(message.code, message.message)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    await this.#upload?.[Symbol.asyncDispose]()
    await this.#chunks?.return?.()
  }

  async #sendChunk(): Promise<void> {
    const next = await this.#chunks?.next()
    if (!next || next.done) return this.#send({ type: 'end' })
    // A copy, since the store's memory may be a part of something larger, which must stay.
    const bytes = new Uint8Array(next.value)
    this.#port.postMessage({ type: 'chunk', bytes }, [bytes.buffer])
  }

  #blob(memory: ArrayBuffer, { offset, sizeBytes, hashes }: PackedBlob): VerifiedBlob {
    const digests = [this.#digest('SHA256', hashes.sha256, sizeBytes)]
    if (hashes.named) digests.push(this.#digest(this.#digestFunction, hashes.named, sizeBytes))
    if (hashes.gitSha1) digests.push(this.#digest('GITSHA1', hashes.gitSha1, sizeBytes))
    return trustedBlob(new Uint8Array(memory, offset, sizeBytes), digests)
  }

  #digest(digestFunction: DigestFunction, hash: string, sizeBytes: number): Digest {
    return { function: digestFunction, hash, sizeBytes }
  }

  async #endUpload(gitSha1: string | undefined): Promise<void> {
    const upload = this.#upload
    if (!upload) throw new Error('an upload ended that was not begun')
    const hash = (await upload.finish()).get(this.#digestFunction)
    if (hash === undefined) throw new Error('the store did not name the content')
    await upload.commit()
    const digest = this.#digest(this.#digestFunction, hash, upload.sizeBytes)
    this.#upload = undefined
    await upload[Symbol.asyncDispose]()
    // An upload cannot name content by git's id, whose hash begins with the size.
    if (gitSha1) await this.#store.translate(digest, 'GITSHA1')
    this.#send({ type: 'uploaded', hash })
  }

  async #find(gitIds: readonly string[]): Promise<(FoundBlob | undefined)[]> {
    const found: (FoundBlob | undefined)[] = []
    for (const [index, id] of gitIds.entries()) {
      // Look-ups may be synchronous below, and then no await gives way to other requests.
      if (index % findsPerTurn === 0) await new Promise<void>((resolve) => setImmediate(resolve))
      const known = await this.#store.findByHash('GITSHA1', id)
      const named = known && (await this.#store.translate(known, this.#digestFunction))
      found.push(named && { hash: named.hash, sizeBytes: named.sizeBytes })
    }
    return found
  }

  #send(message: MainMessage): void {
    this.#port.postMessage(message)
  }
}

function workerError(error: Error): AssetError {
  if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new AssetError('RESOURCE_EXHAUSTED', 'the tree needs more memory than an import may use')
  }
  return new AssetError('INTERNAL', `the import worker failed: ${error.message}`, { cause: error })
}
