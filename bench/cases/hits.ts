import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { GrpcClient } from '../../src/wire/grpc-client.ts'
import { fetchService, healthService } from '../../src/wire/methods.ts'
import { startBenchServer } from '../bench-server.ts'
import { type Measurement, percentile } from '../measure.ts'
import { startStaticOrigin } from '../origins.ts'
import { randomFile } from '../samples.ts'

const seconds = 5
const inFlight = 64

/** FetchBlob of an asset that is held, against the emptiest call that a gRPC server can answer. */
export async function hits(): Promise<Measurement[]> {
  const path = await randomFile('small.bin', 4096)
  const sri = `sha256-${createHash('sha256')
    .update(await readFile(path))
    .digest('base64')}`
  await using origin = await startStaticOrigin(dirname(path))
  await using bench = await startBenchServer()
  const uri = `${origin.url}/small.bin`
  const request = { uris: [uri], qualifiers: [{ name: 'checksum.sri', value: sri }] }
  await bench.fetchBlob(uri, { 'checksum.sri': sri })
  const fetchBlob = (client: GrpcClient) => client.unary(fetchService.methods.FetchBlob, request)
  const check = (client: GrpcClient) => client.unary(healthService.methods.Check, {})
  await load(bench.client, fetchBlob, 1)
  const empty = await load(bench.client, check, seconds)
  const hit = await load(bench.client, fetchBlob, seconds)
  return [
    {
      what: 'FetchBlob hits, one connection, 64 in flight',
      value: hit.perSecond,
      unit: 'calls/s',
      other: { name: 'health check', value: empty.perSecond },
      target: '25,000 calls/s',
    },
    { what: 'FetchBlob hits, p99', value: hit.p99Ms, unit: 'ms' },
  ]
}

async function load(
  client: GrpcClient,
  call: (client: GrpcClient) => Promise<unknown>,
  durationSeconds: number,
): Promise<{ perSecond: number; p99Ms: number }> {
  const times: number[] = []
  const startMs = performance.now()
  const endMs = startMs + durationSeconds * 1000
  const one = async () => {
    while (performance.now() < endMs) {
      const beganMs = performance.now()
      await call(client)
      times.push(performance.now() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  const elapsed = (performance.now() - startMs) / 1000
  return { perSecond: times.length / elapsed, p99Ms: percentile(times, 0.99) }
}
