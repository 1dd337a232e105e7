import { rmSync } from 'node:fs'

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** Until it is disposed, a signal that ends the process takes what is at the path with it. */
export function temporaryPath(path: string): Disposable {
  const onSignal = (signal: NodeJS.Signals) => {
    // A write that is under way may still add to a directory that is being removed.
    rmSync(path, { recursive: true, force: true, maxRetries: 3 })
    process.exit(exitCodes[signal as keyof typeof exitCodes])
  }
  const signals = Object.keys(exitCodes) as (keyof typeof exitCodes)[]
  for (const signal of signals) process.once(signal, onSignal)
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
