import { createHash } from 'node:crypto'
import { contentAddressableStorageService } from '../../src/wire/methods.ts'
import { startBenchServer } from '../bench-server.ts'
import { type Measurement, secondsOf } from '../measure.ts'

const held = 20_000
const perCall = 5000
const calls = 60

/** FindMissingBlobs, half of them held, in calls of the size that clients use. */
export async function findMissing(): Promise<Measurement[]> {
  await using bench = await startBenchServer()
  const { BatchUpdateBlobs, FindMissingBlobs } = contentAddressableStorageService.methods
  const blobs = Array.from({ length: held }, (_, n) => {
    const data = Buffer.from(`blob ${n}`)
    const hash = createHash('sha256').update(data).digest('hex')
    return { digest: { hash, sizeBytes: data.length }, data }
  })
  for (let at = 0; at < held; at += 1000) {
    await bench.client.unary(BatchUpdateBlobs, { requests: blobs.slice(at, at + 1000) })
  }
  const absent = blobs.map(({ digest }) => ({
    hash: digest.hash.split('').reverse().join(''),
    sizeBytes: digest.sizeBytes,
  }))
  const asked = Array.from({ length: calls }, (_, call) =>
    Array.from({ length: perCall }, (_, n) => {
      const at = (call * perCall + n) % held
      return (n % 2 === 0 ? blobs[at]?.digest : absent[at]) ?? { hash: '', sizeBytes: 0 }
    }),
  )
  const seconds = await secondsOf(async () => {
    for (const blobDigests of asked) {
      const { missingBlobDigests } = await bench.client.unary(FindMissingBlobs, { blobDigests })
      if (missingBlobDigests.length !== perCall / 2) throw new Error('wrong answer')
    }
  })
  const { loopDelayMs } = await bench.footprint()
  return [
    { what: 'FindMissingBlobs', value: (calls * perCall) / seconds, unit: 'digests/s' },
    { what: 'event loop delay, p99.9', value: loopDelayMs, unit: 'ms', target: '50 ms' },
  ]
}
