import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Log } from '../telemetry/log.ts'
import { type Answer, type HttpRoutesOptions, route } from './http-routes.ts'
import { listen } from './listen.ts'

/** Requests have no body worth reading; what comes is dropped up to this, then the socket goes. */
const headerBytesMax = 16 * 1024
const headersTimeoutMs = 10_000
const requestTimeoutMs = 30_000
const connectionsMax = 256

export interface AdminServerOptions extends HttpRoutesOptions {
  readonly log: Log
}

/** The HTTP side of the server: health, metrics, status. */
export interface AdminServer extends AsyncDisposable {
  /**
   * Resolves to the address in use, with the real port.
   * @throws Error of node:net, e.g. EADDRINUSE
   */
  listen(
    address:
      | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
      | { readonly kind: 'unix'; readonly path: string },
  ): Promise<string>
  close(): Promise<void>
}

export function createAdminServer(options: AdminServerOptions): AdminServer {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
    },
    (request, response) => {
      respond(request, response, options).catch((error: unknown) => {
        options.log.error('an admin request failed', { path: request.url, error })
        if (!response.headersSent) {
          send(request, response, { status: 500, text: 'The server failed; its log says why.\n' })
        } else response.destroy()
      })
    },
  )
  server.maxConnections = connectionsMax
  const close = () =>
    new Promise<void>((resolve) => {
      if (!server.listening) return resolve()
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { listen: (address) => listen(server, address), close, [Symbol.asyncDispose]: close }
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminServerOptions,
): Promise<void> {
  request.resume()
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  send(request, response, await route(request.method ?? 'GET', path, options))
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  // A body that is still coming would otherwise be read, however long, to reuse the connection.
  if (hasBody(request)) response.setHeader('connection', 'close')
  response.writeHead(answer.status, {
    'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(answer.text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : answer.text, () => {
    if (hasBody(request) && !request.complete) request.destroy()
  })
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
