import type { RunningServer } from '../compose.ts'
import type { Config } from '../config/config.ts'
import { listenAddressText } from '../config/listen-address.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { CliError } from './cli-error.ts'
import { type ConfigFlags, loadConfigFrom } from './config-flags.ts'
import { makeDataDirectory } from './data-directory.ts'
import { packageVersion } from './version.ts'

/** Running calls may end in this time after SIGTERM; Kubernetes kills after 30 s by default. */
const drainMs = 10_000

/** `larder serve`: runs until a signal; resolves when the server is closed. */
export async function serve(flags: ConfigFlags): Promise<void> {
  const { config, warnings } = await loadConfigFrom(flags)
  const useColor = process.env.NO_COLOR ? false : undefined
  const log = createLog({ ...config.log, useColor })
  for (const warning of warnings) log.warn(warning)
  await makeDataDirectory(config.dataDirectory)
  const stopped = firstSignal()
  // Only this command needs the whole server, and loading that takes its time.
  const { startServer } = await import('../compose.ts')
  const server = await startServer(config, {
    log,
    version: packageVersion(),
    environment: process.env,
  }).catch((error: unknown) => {
    throw listenFailure(error, config) ?? error
  })
  announce(server, config, log)
  log.info('closing', { signal: await stopped, drainMs })
  const timer = setTimeout(() => {
    log.error('the server did not close in time', { drainMs })
    process.exit(1)
  }, drainMs + 2000)
  await server.close()
  clearTimeout(timer)
  log.info('closed')
}

/** The first signal asks for an orderly end; the second one ends the process at once. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isAsked = false
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      process.on(signal, () => {
        if (isAsked) process.exit(exitCode)
        isAsked = true
        resolve(signal)
      })
    }
  })
}

function announce(server: RunningServer, config: Config, log: Log): void {
  const { grpcAddress, httpAddress } = server
  const url = grpcAddress.startsWith('unix:') ? grpcAddress : `grpc://${grpcAddress}`
  const data = config.dataDirectory
  const isForPeople =
    config.log.format === 'pretty' || (config.log.format === 'auto' && process.stdout.isTTY)
  const bazelrc = [`build --experimental_remote_downloader=${url}`, `build --remote_cache=${url}`]
  if (!isForPeople) {
    log.info('serving', { grpc: grpcAddress, http: httpAddress ?? 'none', data, bazelrc })
    return
  }
  const http = httpAddress === undefined ? '' : `\n  status    http://${httpAddress}/`
  process.stdout.write(`Larder serves ${url}${http}
  data      ${data}
  .bazelrc  ${bazelrc.join('\n            ')}
`)
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use already',
  // Node says so for a socket whose directory is missing, too.
  EACCES: 'may not be used by this user, or its directory does not exist',
  EADDRNOTAVAIL: 'is no address of this machine',
  ENOTFOUND: 'is no known host',
}

/** One sentence that names address and key, if the error is about listening. */
function listenFailure(error: unknown, { grpc, http }: Config): CliError | undefined {
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? '')}` : ''
  const code = Object.keys(reasons).find((name) => text.includes(name))
  if (code === undefined) return undefined
  const listeners = [
    { key: 'grpc.listen', flag: '--grpc-listen', address: grpc.listen },
    { key: 'http.listen', flag: '--http-listen', address: http.listen },
  ]
  for (const { key, flag, address } of listeners) {
    if (!address) continue
    const mark = address.kind === 'unix' ? address.path : `:${address.port}`
    if (!text.includes(mark) && !text.includes(listenAddressText(address))) continue
    return new CliError(
      `${listenAddressText(address)} ${reasons[code]}: choose another with ${flag} (${key}).`,
    )
  }
  return undefined
}
