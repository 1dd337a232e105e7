import { unlink } from 'node:fs/promises'
import type { Http2Server } from 'node:http2'
import { connect } from 'node:net'
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { adapterOf, type CallHooks, definitionOf } from './adapters.ts'
import type { BoundService } from './methods.ts'

/**
 * Batches may hold 4 MB of blobs by what is advertised; clients count only those, not the digests
 * and framing around them, and some not even compression. Twice that is refused.
 */
export const receivedMessageBytesMax = 8 * 1024 * 1024

/** Bazel and Buck2 take 100 for granted; what limits the work behind is the resolver's queue. */
const concurrentStreamsMax = 1000

/**
 * What clients may send before it is taken: in one call, and in all calls of a connection, which
 * bounds the memory that it can fill. With HTTP/2's default of 64 KiB for both, each chunk of an
 * upload waits for several round trips.
 */
const callWindowBytes = 1024 * 1024
const connectionWindowBytes = 2 * 1024 * 1024

export interface GrpcServerOptions {
  readonly services: readonly BoundService[]
  readonly hooks?: CallHooks
  /** Serve TLS; with `clientCa`, only clients that it has signed. All PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer; readonly clientCa?: Buffer }
  /** Services that bring their own codecs, such as reflection. */
  readonly extensions?: readonly ServerExtension[]
}

export interface ServerExtension {
  addToServer(server: Server): void
}

export interface BoundAddress {
  /** As it was asked for, with the real port in the place of port 0. */
  readonly address: string
  /** 0 for a unix socket. */
  readonly port: number
}

export interface GrpcServer extends AsyncDisposable {
  /** Binds `host:port` or `unix:/path`. May be called for several addresses. */
  listen(address: string): Promise<BoundAddress>
  /** Takes no new calls, lets running ones end, and cuts off what is left after the grace time. */
  shutdown(graceMs: number): Promise<void>
}

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  // grpc-js writes headers that it cannot parse to the console, secrets and all.
  setLogVerbosity(logVerbosity.NONE)
  // Pings are never policed: grpc-js leaves them to node:http2, which only answers them. No maximal
  // age or idle time of connections either: Bazel takes a GOAWAY in a long upload badly.
  const server = new Server({
    'grpc.max_receive_message_length': receivedMessageBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': concurrentStreamsMax,
    'grpc.enable_channelz': 0,
  })
  for (const service of options.services) addService(server, service, options.hooks ?? {})
  for (const extension of options.extensions ?? []) extension.addToServer(server)
  const { tls } = options
  const credentials = tls
    ? ServerCredentials.createSsl(
        tls.clientCa ?? null,
        [{ cert_chain: tls.cert, private_key: tls.key }],
        tls.clientCa !== undefined,
      )
    : ServerCredentials.createInsecure()

  const addresses: string[] = []
  const widened = new WeakSet<Http2Server>()

  return {
    async listen(address) {
      const isUnix = address.startsWith('unix:')
      if (isUnix) await removeStaleSocket(socketPath(address))
      const port = await bind(server, address, credentials)
      widenWindows(server, widened)
      const bound = isUnix ? address : address.replace(/:\d+$/, `:${port}`)
      addresses.push(bound)
      return { address: bound, port: isUnix ? 0 : port }
    },
    shutdown: (graceMs) => shutdown(server, addresses, graceMs),
    [Symbol.asyncDispose]: () => shutdown(server, addresses, 0),
  }
}

function addService(server: Server, service: BoundService, hooks: CallHooks): void {
  const definition: Record<string, ReturnType<typeof definitionOf>> = {}
  const implementation: UntypedServiceImplementation = {}
  for (const bound of service.methods) {
    definition[bound.method.path] = definitionOf(bound.method)
    implementation[bound.method.path] = adapterOf(bound, hooks)
  }
  server.addService(definition as ServiceDefinition, implementation)
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port)
      else reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error }))
    })
  })
}

/**
 * grpc-js has an option for the windows of its client, but none for those of its server, and keeps
 * the HTTP/2 servers to itself.
 */
function widenWindows(server: Server, widened: WeakSet<Http2Server>): void {
  const { http2Servers } = server as unknown as { http2Servers: ReadonlyMap<Http2Server, unknown> }
  for (const http2Server of http2Servers.keys()) {
    if (widened.has(http2Server)) continue
    widened.add(http2Server)
    http2Server.updateSettings({
      maxConcurrentStreams: concurrentStreamsMax,
      initialWindowSize: callWindowBytes,
    })
    http2Server.on('session', (session) => session.setLocalWindowSize(connectionWindowBytes))
  }
}

function shutdown(server: Server, addresses: readonly string[], graceMs: number): Promise<void> {
  // Not forceShutdown: with channelz off it overlooks all connections. And drain comes first: it
  // overlooks those that are closing already.
  for (const address of addresses) server.drain(address, graceMs)
  return new Promise((resolve) => {
    server.tryShutdown(() => resolve())
  })
}

function socketPath(address: string): string {
  return address.replace(/^unix:(\/\/)?/, '')
}

/** A server that was killed leaves its socket behind; one that is alive keeps it. */
function removeStaleSocket(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve()
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') unlink(path).then(resolve, reject)
      else resolve()
    })
  })
}
