import type { MessagePort } from 'node:worker_threads'
import type {
  BlobHashes,
  FoundBlob,
  MainMessage,
  PackedBlob,
  WorkerMessage,
} from './job-messages.ts'

/** Batches and upload chunks that are on their way to the store at once: what bounds the memory. */
const inFlightMax = 2
/** Chunks of the archive that are asked for ahead. */
const chunksAheadMax = 2

/** The worker's end of a job's port. */
export class JobPort {
  readonly #port: MessagePort
  readonly #chunks: (Uint8Array | undefined)[] = []
  #wakeReader: (() => void) | undefined
  #inFlight = 0
  #wakeSender: (() => void) | undefined
  #answer: ((message: MainMessage) => void) | undefined

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: MainMessage) => this.#receive(message))
  }

  /** The archive. More of it is asked for only as it is consumed. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let asked = 0; asked < chunksAheadMax; asked++) this.#send({ type: 'more' })
    for (;;) {
      if (this.#chunks.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
      }
      const chunk = this.#chunks.shift()
      if (!chunk) return
      yield chunk
      this.#send({ type: 'more' })
    }
  }

  /** Hands over memory full of blobs; waits while too much is on its way. */
  async sendBatch(memory: ArrayBuffer, blobs: readonly PackedBlob[]): Promise<void> {
    await this.#takeSlot()
    this.#send({ type: 'batch', memory, blobs }, memory)
  }

  beginUpload(sizeBytes: number): void {
    this.#send({ type: 'upload-begin', sizeBytes })
  }

  async sendUploadChunk(memory: ArrayBuffer): Promise<void> {
    await this.#takeSlot()
    this.#send({ type: 'upload-chunk', memory }, memory)
  }

  /** Resolves to the content's hash when it is stored. */
  async endUpload(gitSha1?: BlobHashes['gitSha1']): Promise<string> {
    const answer = await this.#ask({ type: 'upload-end', gitSha1 })
    if (answer.type !== 'uploaded') throw new Error(`unexpected answer: ${answer.type}`)
    return answer.hash
  }

  async find(gitIds: readonly string[]): Promise<readonly (FoundBlob | undefined)[]> {
    const answer = await this.#ask({ type: 'find', gitIds })
    if (answer.type !== 'found') throw new Error(`unexpected answer: ${answer.type}`)
    return answer.blobs
  }

  /** Resolves when everything sent so far is in the store. */
  async drained(): Promise<void> {
    while (this.#inFlight > 0) await this.#slotFreed()
  }

  finish(result: Extract<WorkerMessage, { type: 'done' | 'failed' }>): void {
    this.#send(result)
    this.#port.close()
  }

  async #takeSlot(): Promise<void> {
    while (this.#inFlight >= inFlightMax) await this.#slotFreed()
    this.#inFlight++
  }

  #slotFreed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeSender = resolve
    })
  }

  #ask(message: WorkerMessage): Promise<MainMessage> {
    return new Promise((resolve) => {
      this.#answer = resolve
      this.#send(message)
    })
  }

  #send(message: WorkerMessage, memory?: ArrayBuffer): void {
    this.#port.postMessage(message, memory ? [memory] : [])
  }

  #receive(message: MainMessage): void {
    if (message.type === 'chunk' || message.type === 'end') {
      this.#chunks.push(message.type === 'chunk' ? message.bytes : undefined)
      this.#wakeReader?.()
    } else if (message.type === 'taken') {
      this.#inFlight--
      this.#wakeSender?.()
    } else {
      this.#answer?.(message)
    }
  }
}
