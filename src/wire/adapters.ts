import { setImmediate } from 'node:timers/promises'
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
} from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { Writer } from 'protobufjs/minimal.js'
import { AssetError } from '../asset/errors.ts'
import { failureOf, ServerCallContext } from './call-context.ts'
import type {
  CallContext,
  ClientStreamHandler,
  ServerStreamHandler,
  UnaryHandler,
} from './handlers.ts'
import type { BoundService, Method } from './methods.ts'

export interface CallHooks {
  /** After every call that reached a handler. Must be quick and must not throw. */
  readonly onCall?: (call: CallContext, code: status, durationMs: number) => void
  /** A handler failed in a way that is the server's fault: for the log. */
  readonly onUnexpectedError?: (call: CallContext, error: unknown) => void
}

/** grpc-js answers INTERNAL if decoding throws; this comes out of it instead. */
class UndecodableMessage {
  readonly reason: string

  constructor(error: unknown) {
    this.reason = error instanceof Error ? error.message : String(error)
  }
}

type Incoming = object | UndecodableMessage

/** The definition under which grpc-js carries a method: messages go out as bytes. */
export function definitionOf(method: Method): MethodDefinition<Incoming, Buffer> {
  return {
    path: method.path,
    requestStream: method.kind === 'clientStream',
    responseStream: method.kind === 'serverStream',
    requestSerialize: () => notAClient(),
    requestDeserialize: (bytes) => {
      try {
        return method.request.decode(bytes) as object
      } catch (error) {
        return new UndecodableMessage(error)
      }
    },
    responseSerialize: (bytes) => bytes,
    responseDeserialize: () => notAClient(),
  }
}

/** A handler as grpc-js wants it. */
export function adapterOf(
  { method, handler }: BoundService['methods'][number],
  hooks: CallHooks,
): UntypedHandleCall {
  switch (method.kind) {
    case 'unary':
      return adaptUnary(method, handler as UnaryHandler<Incoming, object>, hooks)
    case 'clientStream':
      return adaptClientStream(method, handler as ClientStreamHandler<Incoming, object>, hooks)
    case 'serverStream':
      return adaptServerStream(method, handler as ServerStreamHandler<Incoming, object>, hooks)
  }
}

function adaptUnary(
  method: Method,
  handler: UnaryHandler<Incoming, object>,
  hooks: CallHooks,
): handleUnaryCall<Incoming, Buffer> {
  return (call, callback) => {
    const context = new ServerCallContext(method.path, call)
    void answerOnce(method, context, hooks, callback, () =>
      handler(readable(call.request), context),
    )
  }
}

function adaptClientStream(
  method: Method,
  handler: ClientStreamHandler<Incoming, object>,
  hooks: CallHooks,
): handleClientStreamingCall<Incoming, Buffer> {
  return (call, callback) => {
    const context = new ServerCallContext(method.path, call)
    async function* requests(): AsyncGenerator<Incoming> {
      try {
        // Leaving the loop early must not destroy the call: it still has to be answered.
        for await (const message of call.iterator({ destroyOnReturn: false })) {
          yield readable(message)
        }
      } catch (error) {
        throw context.cancellation ?? error
      }
      // A reset by the client looks like a proper end at first; that it was none is known only when
      // node has closed the stream.
      await setImmediate()
      if (context.cancellation !== undefined) throw context.cancellation
    }
    void answerOnce(method, context, hooks, callback, () => handler(requests(), context))
  }
}

async function answerOnce(
  method: Method,
  context: ServerCallContext,
  hooks: CallHooks,
  callback: sendUnaryData<Buffer>,
  work: () => Promise<object>,
): Promise<void> {
  const startedMs = performance.now()
  let code = status.OK
  try {
    const bytes = encode(method, await work())
    code = context.cancellation === undefined ? status.OK : failureOf(context, undefined).code
    context.finish()
    callback(null, bytes)
  } catch (error) {
    const failure = failureOf(context, error)
    code = failure.code
    if (failure.isUnexpected) hooks.onUnexpectedError?.(context, error)
    context.finish()
    callback({ code, details: failure.details }, null, failure.metadata ?? undefined)
  }
  hooks.onCall?.(context, code, performance.now() - startedMs)
}

function adaptServerStream(
  method: Method,
  handler: ServerStreamHandler<Incoming, object>,
  hooks: CallHooks,
): handleServerStreamingCall<Incoming, Buffer> {
  return (call) => {
    const context = new ServerCallContext(method.path, call)
    void answerMany(method, context, hooks, call, () => handler(readable(call.request), context))
  }
}

/** One message is on its way while the handler prepares the next, and never more. */
async function answerMany(
  method: Method,
  context: ServerCallContext,
  hooks: CallHooks,
  call: ServerWritableStream<Incoming, Buffer>,
  work: () => AsyncIterable<object>,
): Promise<void> {
  const startedMs = performance.now()
  let code = status.OK
  try {
    let sent: Promise<void> | undefined
    // One for the call: what is sent was copied before the next message is encoded, and a new
    // buffer for each message costs more in garbage collection than its copy does.
    const writer = Writer.create()
    for await (const message of work()) {
      await sent
      if (context.cancellation !== undefined) break
      sent = send(call, context, encode(method, message, writer.reset()))
    }
    await sent
    if (context.cancellation !== undefined) throw context.cancellation
    context.finish()
    call.end()
  } catch (error) {
    const failure = failureOf(context, error)
    code = failure.code
    if (failure.isUnexpected) hooks.onUnexpectedError?.(context, error)
    if (context.cancellation === undefined) {
      context.finish()
      call.emit('error', { code, details: failure.details, metadata: failure.metadata })
    }
  }
  hooks.onCall?.(context, code, performance.now() - startedMs)
}

/** Resolves when the transport has taken the message, or the client is gone; never rejects. */
function send(
  call: ServerWritableStream<Incoming, Buffer>,
  context: ServerCallContext,
  bytes: Buffer,
): Promise<void> {
  return new Promise((resolve) => {
    // grpc-js forgets the callback of a message that was under way when the client left.
    context.wakeOnCancel = resolve
    call.write(bytes, () => resolve())
  })
}

/** The bytes are those of the writer, whose memory grpc-js copies when it frames the message. */
function encode(method: Method, message: object, writer = Writer.create()): Buffer {
  const bytes = method.response.encode(message as never, writer).finish(true)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function readable(message: Incoming): object {
  if (!(message instanceof UndecodableMessage)) return message
  throw new AssetError('INVALID_ARGUMENT', `the request cannot be decoded: ${message.reason}`)
}

function notAClient(): never {
  throw new Error('this definition is for the server')
}
