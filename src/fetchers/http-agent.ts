import type { Socket } from 'node:net'
import { Agent, buildConnector } from 'undici'
import type { HttpLimits } from './http-limits.ts'

/** Extra options for the sockets, e.g. `ca` for a private authority or `lookup` for an egress guard. */
export type ConnectOptions = buildConnector.BuildOptions

/**
 * The connections to origins. HTTP/1.1 only: a download then has a connection of its own, so that a
 * body which is read slowly never holds up another one by a shared flow-control window.
 */
export function createHttpAgent(limits: HttpLimits, options: ConnectOptions = {}): Agent {
  const connect = buildConnector({
    ...options,
    allowH2: false,
    timeout: limits.connectTimeoutMs,
  })
  return new Agent({
    allowH2: false,
    pipelining: 1,
    maxHeaderSize: limits.headerBytesMax,
    connect: (target, callback) =>
      connect(target, (...[error, socket]) => {
        if (error !== null) return callback(error, null)
        socket.on('error', markReset)
        callback(null, socket)
      }),
  })
}

/**
 * undici takes ECONNRESET for the end of a body that has neither a length nor chunks, and so would
 * hand out a truncated body as a whole one. Under another code the same error fails the request.
 * This listener runs first, because it is added before undici adds its own.
 */
function markReset(this: Socket, error: NodeJS.ErrnoException): void {
  if (error.code === 'ECONNRESET') error.code = 'UND_ERR_SOCKET'
}
