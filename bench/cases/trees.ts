import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { startBenchServer } from '../bench-server.ts'
import { type Measurement, median, secondsOf, shell } from '../measure.ts'
import { startGitDaemon, startStaticOrigin } from '../origins.ts'
import { linuxArchive, linuxRepository } from '../samples.ts'

const rounds = 3

/** FetchDirectory of the Linux tree as tar.gz, against unpacking the same file by hand. */
export async function archive(): Promise<Measurement[]> {
  const path = await linuxArchive()
  if (path === undefined) return []
  await using origin = await startStaticOrigin(dirname(path))
  const uri = `${origin.url}/${basename(path)}`
  // Awaited here, since the origin ends with this function.
  return await compareTree('import of linux-source-6.1.tar.gz', uri, 'tar xf', (directory) =>
    shell(`tar xf ${path}`, directory),
  )
}

/** FetchDirectory of the same tree as a git repository, against cloning it. */
export async function git(): Promise<Measurement[]> {
  const path = await linuxRepository()
  if (path === undefined) return []
  await using origin = await startGitDaemon(dirname(path))
  const uri = `${origin.url}/${basename(path)}`
  // Awaited here, since the origin ends with this function.
  return await compareTree(
    'import of the same tree by git',
    uri,
    'git clone --depth 1',
    (directory) => shell(`git clone -q --depth 1 ${uri} clone`, directory),
  )
}

async function compareTree(
  what: string,
  uri: string,
  otherName: string,
  other: (directory: string) => Promise<void>,
): Promise<Measurement[]> {
  const times = { larder: [] as number[], again: [] as number[], other: [] as number[] }
  let footprint = { peakMiB: 0, loopDelayMs: 0 }
  for (let round = 0; round < rounds; round += 1) {
    await using bench = await startBenchServer()
    times.larder.push(await secondsOf(() => bench.fetchDirectory(uri)))
    times.again.push(await secondsOf(() => bench.fetchDirectory(uri)))
    footprint = await bench.footprint()
    const directory = await mkdtemp(join(tmpdir(), 'larder-bench-'))
    times.other.push(await secondsOf(() => other(directory)))
    await rm(directory, { recursive: true })
  }
  return [
    {
      what,
      value: median(times.larder),
      unit: 's',
      other: { name: otherName, value: median(times.other) },
    },
    { what: 'the same again, held', value: median(times.again) * 1000, unit: 'ms' },
    { what: 'peak memory of the server meanwhile', value: footprint.peakMiB, unit: 'MiB' },
    { what: 'event loop delay, p99.9', value: footprint.loopDelayMs, unit: 'ms', target: '50 ms' },
  ]
}
