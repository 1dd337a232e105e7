import { type CallOptions, Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { AssetError } from '../asset/errors.ts'
import type { Decoded, Encodable, MessageType, Method } from './methods.ts'
import { fromServiceError } from './status.ts'

/** Other servers send up to 4 MiB by default and some more; a few times that is a mistake. */
const receivedMessageBytesMax = 16 * 1024 * 1024

/**
 * What a server may send before we have taken it, per call and for all together. With HTTP/2's
 * default of 64 KiB, each chunk of a blob waits for several round trips.
 */
const receiveWindowBytes = 2 * 1024 * 1024

export interface ClientCallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** Values of keys ending in `-bin` are base64. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface ConnectOptions {
  /** PEM of the authorities to trust for `grpcs:`; the system's if left out. */
  readonly rootCertificates?: Buffer
  /** Sent with every call. */
  readonly metadata?: Readonly<Record<string, string>>
}

type UnaryMethod<Req extends MessageType, Res extends MessageType> = Method<'unary', Req, Res>
type Sending<Res extends MessageType> = Promise<Decoded<Res>>

/** Calls the services of the method table. All errors are AssetErrors, by wire/status. */
export interface GrpcClient extends Disposable {
  unary<Req extends MessageType, Res extends MessageType>(
    method: UnaryMethod<Req, Res>,
    request: Encodable<Req>,
    options?: ClientCallOptions,
  ): Sending<Res>
  /** Reads no faster than it is iterated; leaving the loop cancels the call. */
  serverStream<Req extends MessageType, Res extends MessageType>(
    method: Method<'serverStream', Req, Res>,
    request: Encodable<Req>,
    options?: ClientCallOptions,
  ): AsyncGenerator<Decoded<Res>, void, undefined>
  /** Takes requests as fast as the server does, and no more once the server has answered. */
  clientStream<Req extends MessageType, Res extends MessageType>(
    method: Method<'clientStream', Req, Res>,
    requests: AsyncIterable<Encodable<Req>> | Iterable<Encodable<Req>>,
    options?: ClientCallOptions,
  ): Sending<Res>
  close(): void
}

/**
 * A client for `grpc://host:port`, `grpcs://host:port`, `unix:/path` or plain `host:port`. Connects
 * with the first call.
 * @throws AssetError INVALID_ARGUMENT for an address of another kind
 */
export function connect(address: string, options: ConnectOptions = {}): GrpcClient {
  const { target, isSecure } = parseAddress(address)
  const client = new Client(
    target,
    isSecure ? credentials.createSsl(options.rootCertificates) : credentials.createInsecure(),
    {
      'grpc.max_receive_message_length': receivedMessageBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.enable_channelz': 0,
      'grpc-node.flow_control_window': receiveWindowBytes,
      // Clients in one process must not share a connection: each is closed on its own.
      'grpc.use_local_subchannel_pool': 1,
    },
  )
  const metadataOf = (call: ClientCallOptions): Metadata => {
    const metadata = new Metadata()
    for (const [key, value] of Object.entries({ ...options.metadata, ...call.metadata })) {
      metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
    }
    return metadata
  }
  return {
    unary: (method, request, call = {}) => callUnary(client, method, request, call, metadataOf),
    serverStream: (method, request, call = {}) =>
      callServerStream(client, method, request, call, metadataOf),
    clientStream: (method, requests, call = {}) =>
      callClientStream(client, method, requests, call, metadataOf),
    close: () => client.close(),
    [Symbol.dispose]: () => client.close(),
  }
}

function parseAddress(address: string): { target: string; isSecure: boolean } {
  if (address.startsWith('unix:')) return { target: address, isSecure: false }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(address)
  if (scheme === null) return { target: address, isSecure: false }
  const target = address.slice(scheme[0].length).replace(/\/$/, '')
  if (scheme[1] === 'grpc') return { target, isSecure: false }
  if (scheme[1] === 'grpcs') return { target, isSecure: true }
  throw new AssetError(
    'INVALID_ARGUMENT',
    `an address starts with grpc://, grpcs:// or unix:, not with ${scheme[0]}`,
  )
}

type MetadataOf = (call: ClientCallOptions) => Metadata

function callUnary<Req extends MessageType, Res extends MessageType>(
  client: Client,
  method: UnaryMethod<Req, Res>,
  request: Encodable<Req>,
  options: ClientCallOptions,
  metadataOf: MetadataOf,
): Sending<Res> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted()
    const call = client.makeUnaryRequest<Encodable<Req>, Decoded<Res>>(
      method.path,
      encoder(method.request),
      decoder(method.response),
      request,
      metadataOf(options),
      callOptions(options),
      (error, response) => {
        release()
        settle(error, response, resolve, reject)
      },
    )
    const release = cancelOn(options.signal, call)
  })
}

async function* callServerStream<Req extends MessageType, Res extends MessageType>(
  client: Client,
  method: Method<'serverStream', Req, Res>,
  request: Encodable<Req>,
  options: ClientCallOptions,
  metadataOf: MetadataOf,
): AsyncGenerator<Decoded<Res>, void, undefined> {
  options.signal?.throwIfAborted()
  const call = client.makeServerStreamRequest<Encodable<Req>, Decoded<Res>>(
    method.path,
    encoder(method.request),
    decoder(method.response),
    request,
    metadataOf(options),
    callOptions(options),
  )
  const release = cancelOn(options.signal, call)
  // Cancelling makes the call fail once more, when nobody listens any longer.
  call.on('error', () => {})
  try {
    for await (const message of call) yield message as Decoded<Res>
  } catch (error) {
    throw isServiceError(error) ? fromServiceError(error) : error
  } finally {
    release()
    call.cancel()
  }
}

function callClientStream<Req extends MessageType, Res extends MessageType>(
  client: Client,
  method: Method<'clientStream', Req, Res>,
  requests: AsyncIterable<Encodable<Req>> | Iterable<Encodable<Req>>,
  options: ClientCallOptions,
  metadataOf: MetadataOf,
): Sending<Res> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted()
    let isAnswered = false
    let wake = (): void => {}
    const call = client.makeClientStreamRequest<Encodable<Req>, Decoded<Res>>(
      method.path,
      encoder(method.request),
      decoder(method.response),
      metadataOf(options),
      callOptions(options),
      (error, response) => {
        isAnswered = true
        wake()
        release()
        settle(error, response, resolve, reject)
      },
    )
    const release = cancelOn(options.signal, call)
    call.on('error', () => {})
    const sendAll = async (): Promise<void> => {
      for await (const request of requests) {
        if (isAnswered) return
        await new Promise<void>((taken) => {
          wake = taken
          call.write(request, () => taken())
        })
      }
      if (!isAnswered) call.end()
    }
    sendAll().catch((error: unknown) => {
      reject(error)
      call.cancel()
    })
  })
}

function encoder<T extends MessageType>(type: T): (message: Encodable<T>) => Buffer {
  return (message) => {
    // Not a copy: grpc-js makes one when it frames the message.
    const bytes = type.encode(message as never).finish(true)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
}

function decoder<T extends MessageType>(type: T): (bytes: Buffer) => Decoded<T> {
  return (bytes) => type.decode(bytes) as Decoded<T>
}

function callOptions(options: ClientCallOptions): CallOptions {
  return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs }
}

function settle<T>(
  error: ServiceError | null,
  response: T | undefined,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): void {
  if (error !== null) reject(fromServiceError(error))
  else if (response === undefined) reject(new AssetError('INTERNAL', 'the server sent no response'))
  else resolve(response)
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error
}

/** Cancels the call when the signal fires; what is returned takes the listener away again. */
function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => {}
  const cancel = (): void => call.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  return () => signal.removeEventListener('abort', cancel)
}
