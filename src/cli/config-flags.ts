import { type LoadedConfig, loadConfig } from '../config/load.ts'

/** The flags of `serve` and `check-config`. */
export interface ConfigFlags {
  readonly config?: string
  readonly data?: string
  readonly grpcListen?: string
  readonly httpListen?: string
  readonly mode?: string
  readonly logLevel?: string
}

/** @throws ConfigError */
export function loadConfigFrom(flags: ConfigFlags): Promise<LoadedConfig> {
  return loadConfig({
    flags: {
      data: flags.data,
      'grpc.listen': flags.grpcListen,
      'http.listen': flags.httpListen,
      'fetch.mode': flags.mode,
      'log.level': flags.logLevel,
    },
    environment: process.env,
    file: flags.config,
    workingDirectory: process.cwd(),
  })
}
