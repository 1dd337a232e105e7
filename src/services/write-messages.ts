import { setImmediate as nextTurn } from 'node:timers/promises'
import { quoteShort } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'

export interface WriteRequest {
  readonly resourceName: string
  readonly writeOffset: number
  readonly finishWrite: boolean
  readonly data: Uint8Array
}

/** The messages of one Write, checked against its rules as they come. */
export class WriteMessages {
  readonly resourceName: string
  readonly #messages: AsyncIterator<WriteRequest>
  #first: WriteRequest | undefined
  #receivedBytes = 0
  #isFinished = false

  private constructor(first: WriteRequest, messages: AsyncIterator<WriteRequest>) {
    this.resourceName = first.resourceName
    this.#first = first
    this.#messages = messages
  }

  /** Waits for the first message, the one that must carry the name. */
  static async open(requests: AsyncIterable<WriteRequest>): Promise<WriteMessages> {
    const messages = requests[Symbol.asyncIterator]()
    const first = await messages.next()
    if (first.done) throw invalidField('resource_name', 'no message came that carries it')
    return new WriteMessages(first.value, messages)
  }

  /** Bytes of data so far, as they came: for compressed blobs, compressed bytes. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** True once the client has said that the data is complete. */
  get isFinished(): boolean {
    return this.#isFinished
  }

  /**
   * The data of the next message; undefined at the end, be it finished or not.
   * @throws AssetError INVALID_ARGUMENT for another name or an offset that does not continue
   */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#isFinished) return undefined
    const message = this.#first ?? (await this.#nextMessage())
    this.#first = undefined
    if (message === undefined) return undefined
    this.#check(message)
    this.#receivedBytes += message.data.byteLength
    this.#isFinished = message.finishWrite
    return message.data
  }

  /**
   * Refuses what came behind the message with `finish_write`. Does not wait for the client to
   * half-close: some only do so when they have the answer.
   * @throws AssetError INVALID_ARGUMENT
   */
  async assertNothingFollows(): Promise<void> {
    const next = this.#nextMessage().catch(() => undefined)
    if ((await Promise.race([next, nextTurn()])) !== undefined) {
      throw new AssetError('INVALID_ARGUMENT', 'a message follows the one with finish_write')
    }
  }

  async #nextMessage(): Promise<WriteRequest | undefined> {
    const next = await this.#messages.next()
    return next.done ? undefined : next.value
  }

  #check(message: WriteRequest): void {
    if (message.resourceName !== '' && message.resourceName !== this.resourceName) {
      throw invalidField(
        'resource_name',
        `changed from ${quoteShort(this.resourceName)} to ${quoteShort(message.resourceName)}`,
      )
    }
    if (message.writeOffset !== this.#receivedBytes) {
      throw invalidField(
        'write_offset',
        `is ${message.writeOffset}, but ${this.#receivedBytes} bytes came before it in this upload`,
      )
    }
  }
}
