import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { GrpcClient } from '../../src/wire/grpc-client.ts'
import { byteStreamService } from '../../src/wire/methods.ts'
import { startBenchServer } from '../bench-server.ts'
import { type Measurement, secondsOf } from '../measure.ts'

const mib = 1024 * 1024
const sizes = [
  { name: '64 KiB', sizeBytes: 64 * 1024, blobs: 800 },
  { name: '1 MiB', sizeBytes: mib, blobs: 200 },
  { name: '256 MiB', sizeBytes: 256 * mib, blobs: 2 },
]

// As Bazel sends: one connection, several blobs at once.
const concurrency = 8
const chunkBytes = 256 * 1024

/** Blobs in and out by ByteStream. */
export async function byteStream(): Promise<Measurement[]> {
  await using bench = await startBenchServer()
  const measurements: Measurement[] = []
  for (const { name, sizeBytes, blobs } of sizes) {
    const content = Array.from({ length: blobs }, () => makeBlob(sizeBytes))
    const total = (sizeBytes * blobs) / 1e6
    const write = await secondsOf(() => each(content, (blob) => writeBlob(bench.client, blob)))
    const read = await secondsOf(() => each(content, (blob) => readBlob(bench.client, blob)))
    measurements.push(
      { what: `Write, ${name} blobs`, value: total / write, unit: 'MB/s', target: '400 MB/s' },
      { what: `Read, ${name} blobs`, value: total / read, unit: 'MB/s', target: '1,000 MB/s' },
    )
  }
  const { peakMiB, loopDelayMs } = await bench.footprint()
  measurements.push(
    { what: 'peak memory of the server meanwhile', value: peakMiB, unit: 'MiB', target: '300 MiB' },
    { what: 'event loop delay, p99.9', value: loopDelayMs, unit: 'ms', target: '50 ms' },
  )
  return measurements
}

interface Blob {
  readonly hash: string
  readonly data: Buffer
}

function makeBlob(sizeBytes: number): Blob {
  const data = randomBytes(sizeBytes)
  return { data, hash: createHash('sha256').update(data).digest('hex') }
}

async function each(blobs: readonly Blob[], work: (blob: Blob) => Promise<void>): Promise<void> {
  const queue = blobs.values()
  const worker = async () => {
    for (const blob of queue) await work(blob)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

async function writeBlob(client: GrpcClient, { hash, data }: Blob): Promise<void> {
  const resourceName = `uploads/${randomUUID()}/blobs/${hash}/${data.length}`
  function* requests() {
    for (let offset = 0; offset < data.length; offset += chunkBytes) {
      const end = Math.min(offset + chunkBytes, data.length)
      yield {
        resourceName: offset === 0 ? resourceName : '',
        writeOffset: offset,
        finishWrite: end === data.length,
        data: data.subarray(offset, end),
      }
    }
  }
  const method = byteStreamService.methods.Write
  const { committedSize } = await client.clientStream(method, requests())
  if (committedSize !== data.length) throw new Error(`committed ${committedSize} bytes`)
}

async function readBlob(client: GrpcClient, { hash, data }: Blob): Promise<void> {
  const request = { resourceName: `blobs/${hash}/${data.length}` }
  let sizeBytes = 0
  for await (const response of client.serverStream(byteStreamService.methods.Read, request)) {
    sizeBytes += response.data.byteLength
  }
  if (sizeBytes !== data.length) throw new Error(`read ${sizeBytes} bytes`)
}
