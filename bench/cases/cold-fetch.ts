import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startBenchServer } from '../bench-server.ts'
import { inTurn, type Measurement, shell } from '../measure.ts'
import { startStaticOrigin } from '../origins.ts'
import { randomFile } from '../samples.ts'

const sizeBytes = 1024 ** 3
const rounds = 3

/** A first FetchBlob of 1 GiB, against what one would do by hand: curl, then sha256sum. */
export async function coldFetch(): Promise<Measurement[]> {
  const path = await randomFile('large.bin', sizeBytes)
  await using origin = await startStaticOrigin(dirname(path))
  const scratch = await mkdtemp(join(tmpdir(), 'larder-bench-'))
  const file = join(scratch, 'large.bin')
  let peak = { peakMiB: 0, loopDelayMs: 0 }
  const fetchBlob = async () => {
    // A new server each time, so that nothing is held.
    await using bench = await startBenchServer()
    await bench.fetchBlob(`${origin.url}/large.bin`)
    peak = await bench.footprint()
  }
  const curl = () =>
    shell(`rm -f ${file} && curl -sSf -o ${file} ${origin.url}/large.bin && sha256sum ${file}`)
  const startUp = async () => {
    await using _bench = await startBenchServer()
  }
  const times = await inTurn(rounds, fetchBlob, curl)
  const idle = await inTurn(rounds, startUp, async () => {})
  await rm(scratch, { recursive: true })
  return [
    {
      what: 'cold FetchBlob of 1 GiB',
      // Starting and stopping the server is no part of a fetch.
      value: times.a - idle.a,
      unit: 's',
      other: { name: 'curl -o + sha256sum', value: times.b },
      target: '1.1x',
    },
    { what: 'peak memory of the server meanwhile', value: peak.peakMiB, unit: 'MiB' },
    { what: 'event loop delay, p99.9', value: peak.loopDelayMs, unit: 'ms', target: '50 ms' },
  ]
}
