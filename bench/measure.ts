import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** One line of the report. */
export interface Measurement {
  readonly what: string
  /** Larder's figure. */
  readonly value: number
  readonly unit: string
  /** The tool a user would use instead, measured in the same run. */
  readonly other?: { readonly name: string; readonly value: number }
  /** What to aim at, in words. */
  readonly target?: string
}

/** Seconds that a piece of work takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

/** Runs a shell command to its end; throws if it fails. */
export async function shell(script: string, cwd?: string): Promise<void> {
  const child = spawn('bash', ['-ec', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  let errors = ''
  child.stderr.on('data', (text) => {
    errors = `${errors}${text}`.slice(-2000)
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${script}: exit code ${code}\n${errors}`)
}

/**
 * Times two ways of doing the same in turn, A B A B …, so that a machine whose speed drifts does
 * not favour one of them. Returns the medians.
 */
export async function inTurn(
  rounds: number,
  a: () => Promise<unknown>,
  b: () => Promise<unknown>,
): Promise<{ a: number; b: number }> {
  const times = { a: [] as number[], b: [] as number[] }
  for (let round = 0; round < rounds; round += 1) {
    times.a.push(await secondsOf(a))
    times.b.push(await secondsOf(b))
  }
  return { a: median(times.a), b: median(times.b) }
}

export async function hasProgram(name: string): Promise<boolean> {
  return shell(`command -v ${name}`).then(
    () => true,
    () => false,
  )
}
