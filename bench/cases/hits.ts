import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { MessageType, Method } from '../../src/wire/methods.ts'
import { fetchService, healthService } from '../../src/wire/methods.ts'
import { type BenchServer, startBenchServer } from '../bench-server.ts'
import { hasProgram, type Measurement, percentile, shell } from '../measure.ts'
import { startStaticOrigin } from '../origins.ts'
import { randomFile } from '../samples.ts'

const seconds = 5
const connections = 2
const inFlightPerConnection = 32

/**
 * FetchBlob of an asset that is held, against the emptiest call that the same gRPC server can
 * answer. The load comes from h2load, which takes a tenth of the processor time that a client in
 * JavaScript would take from the server.
 */
export async function hits(): Promise<Measurement[]> {
  if (!(await hasProgram('h2load'))) return []
  const path = await randomFile('small.bin', 4096)
  const sri = `sha256-${createHash('sha256')
    .update(await readFile(path))
    .digest('base64')}`
  await using origin = await startStaticOrigin(dirname(path))
  await using bench = await startBenchServer()
  const uri = `${origin.url}/small.bin`
  const withSri = { uris: [uri], qualifiers: [{ name: 'checksum.sri', value: sri }] }
  await bench.fetchBlob(uri, { 'checksum.sri': sri })
  await load(bench, fetchService.methods.FetchBlob, withSri)
  const empty = await load(bench, healthService.methods.Check, {})
  const hit = await load(bench, fetchService.methods.FetchBlob, withSri)
  const { loopDelayMs } = await bench.footprint()
  return [
    {
      what: `FetchBlob hits, ${connections * inFlightPerConnection} in flight`,
      value: hit.perSecond,
      unit: 'calls/s',
      other: { name: 'health check', value: empty.perSecond },
      target: '25,000 calls/s',
    },
    { what: 'FetchBlob hits, p99', value: hit.p99Ms, unit: 'ms' },
    { what: 'event loop delay, p99.9', value: loopDelayMs, unit: 'ms', target: '50 ms' },
  ]
}

async function load(
  { server }: BenchServer,
  method: Method<'unary', MessageType, MessageType>,
  request: object,
): Promise<{ perSecond: number; p99Ms: number }> {
  const scratch = await mkdtemp(join(tmpdir(), 'larder-bench-'))
  const body = join(scratch, 'request')
  const log = join(scratch, 'log')
  const message = method.request.encode(request as never).finish()
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(message.length, 1)
  await writeFile(body, Buffer.concat([frame, message]))
  const url = `${server.grpcUrl.replace('grpc:', 'http:')}${method.path}`
  const headers = "-H 'content-type: application/grpc' -H 'te: trailers'"
  const sizes = `-c ${connections} -m ${inFlightPerConnection} -D ${seconds}`
  await shell(`h2load ${sizes} ${headers} -d ${body} --log-file=${log} ${url}`)
  const lines = (await readFile(log, 'utf8')).trim().split('\n')
  await rm(scratch, { recursive: true })
  const times = lines.map((line) => {
    const [, status, microseconds] = line.split('\t')
    if (status !== '200') throw new Error(`h2load saw the status ${status}`)
    return Number(microseconds) / 1000
  })
  return { perSecond: times.length / seconds, p99Ms: percentile(times, 0.99) }
}
