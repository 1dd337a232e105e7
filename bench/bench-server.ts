import { readFile } from 'node:fs/promises'
import { connect, type GrpcClient } from '../src/wire/grpc-client.ts'
import { fetchService } from '../src/wire/methods.ts'
import {
  type LarderServer,
  type LarderServerOptions,
  startLarder,
} from '../test/fixtures/larder-server.ts'

/** A server under measurement, with a client on one connection. */
export interface BenchServer extends AsyncDisposable {
  readonly client: GrpcClient
  readonly server: LarderServer
  newClient(): GrpcClient
  fetchBlob(uri: string, qualifiers?: Record<string, string>): Promise<FetchedDigest>
  fetchDirectory(uri: string, qualifiers?: Record<string, string>): Promise<FetchedDigest>
  /** Peak memory of the process, in MiB, and the p99.9 of its event loop's delay, in ms. */
  footprint(): Promise<{ peakMiB: number; loopDelayMs: number }>
}

export interface FetchedDigest {
  readonly hash: string
  readonly sizeBytes: number
}

export async function startBenchServer(options: LarderServerOptions = {}): Promise<BenchServer> {
  const server = await startLarder(options)
  const clients: GrpcClient[] = []
  const newClient = () => {
    const client = connect(server.grpcUrl)
    clients.push(client)
    return client
  }
  const client = newClient()
  const request = (uri: string, qualifiers: Record<string, string> = {}) => ({
    uris: [uri],
    qualifiers: Object.entries(qualifiers).map(([name, value]) => ({ name, value })),
  })
  return {
    client,
    server,
    newClient,
    async fetchBlob(uri, qualifiers) {
      const method = fetchService.methods.FetchBlob
      const { blobDigest } = await client.unary(method, request(uri, qualifiers))
      return { hash: blobDigest?.hash ?? '', sizeBytes: blobDigest?.sizeBytes ?? 0 }
    },
    async fetchDirectory(uri, qualifiers) {
      const method = fetchService.methods.FetchDirectory
      const { rootDirectoryDigest } = await client.unary(method, request(uri, qualifiers))
      return {
        hash: rootDirectoryDigest?.hash ?? '',
        sizeBytes: rootDirectoryDigest?.sizeBytes ?? 0,
      }
    },
    async footprint() {
      const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
      const metrics = await (await fetch(`${server.httpUrl}/metrics`)).text()
      const delay = /larder_event_loop_delay_seconds\{[^}]*quantile="0\.999"[^}]*\} (\S+)/.exec(
        metrics,
      )
      return {
        peakMiB: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024,
        loopDelayMs: Number(delay?.[1]) * 1000,
      }
    },
    async [Symbol.asyncDispose]() {
      for (const each of clients) each.close()
      await server[Symbol.asyncDispose]()
    },
  }
}
