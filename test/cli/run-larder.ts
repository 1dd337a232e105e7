import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'

export interface Outcome {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

const main = resolve(import.meta.dirname, '../../src/main.ts')

/** Runs the command line in a process of its own, until it ends. */
export async function runLarder(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  nodeArgs: readonly string[] = [],
): Promise<Outcome> {
  const child = spawn(process.execPath, [...nodeArgs, main, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [code]] = await Promise.all([
    buffer(child.stdout),
    buffer(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr: stderr.toString() }
}
