import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import type { CallHooks } from '../../src/wire/adapters.ts'
import { connect, type GrpcClient } from '../../src/wire/grpc-client.ts'
import { createGrpcServer, type ServerExtension } from '../../src/wire/grpc-server.ts'
import type { BoundService } from '../../src/wire/methods.ts'

export interface RunningServer extends AsyncDisposable {
  readonly client: GrpcClient
  readonly address: string
}

/** A server on a free port with a client that is connected to it. */
export async function startServer(
  services: readonly BoundService[],
  hooks: CallHooks = {},
  extensions: readonly ServerExtension[] = [],
): Promise<RunningServer> {
  const server = createGrpcServer({ services, hooks, extensions })
  const { address } = await server.listen('127.0.0.1:0')
  const client = connect(`grpc://${address}`)
  return {
    client,
    address,
    async [Symbol.asyncDispose]() {
      client.close()
      await server.shutdown(0)
    },
  }
}

export interface RawAnswer {
  /** The numeric gRPC status. */
  readonly status: number
  readonly message: string
}

/** Length-prefixed gRPC message. */
export function frame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes.byteLength, 1)
  return Buffer.concat([head, bytes])
}

export async function openSession(address: string): Promise<ClientHttp2Session> {
  // Megabytes. With the default of 10, node resets a stream whose body is larger than that.
  const session = connectHttp2(`http://${address}`, { maxSessionMemory: 1000 })
  await once(session, 'connect')
  return session
}

/** Sends bytes as the body of a call, as no well-behaved client would. */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string | string[]>> = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    const read = (answer: Readonly<Record<string, unknown>>): void => {
      if (answer['grpc-status'] === undefined) return
      const message = decodeURIComponent(String(answer['grpc-message'] ?? ''))
      resolve({ status: Number(answer['grpc-status']), message })
    }
    stream.on('response', read)
    stream.on('trailers', read)
    stream.on('error', reject)
    stream.resume()
    stream.end(body)
  })
}
