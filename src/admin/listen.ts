import { rm } from 'node:fs/promises'
import { connect, type Server } from 'node:net'

type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/**
 * Starts listening and says where, as `host:port` or `unix:/path`.
 * @throws Error of node:net, e.g. EADDRINUSE
 */
export async function listen(server: Server, address: Address): Promise<string> {
  // A socket file outlives a killed server; it may go only if nobody answers on it.
  if (address.kind === 'unix' && (await isAbandoned(address.path))) await rm(address.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const started = () => {
      server.off('error', reject)
      resolve()
    }
    if (address.kind === 'unix') server.listen(address.path, started)
    else server.listen({ host: address.host, port: address.port }, started)
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') return `unix:${bound}`
  return bound.family === 'IPv6'
    ? `[${bound.address}]:${bound.port}`
    : `${bound.address}:${bound.port}`
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}
