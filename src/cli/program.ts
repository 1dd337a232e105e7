import { Command, CommanderError, Option } from 'commander'
import { catBlob } from './cat.ts'
import { checkConfig } from './check-config.ts'
import { failureText } from './cli-error.ts'
import { fetchAsset } from './fetch.ts'
import { serve } from './serve.ts'
import { systemReason } from './system-error.ts'
import { packageVersion } from './version.ts'

const examples = `
Examples:
  larder serve                                     serve at grpc://127.0.0.1:8981
  larder serve --data /srv/larder --grpc-listen 0.0.0.0:8981
  larder check-config --config larder.yaml --print
  larder fetch https://example.com/a.tar.gz --output a.tar.gz
  larder fetch https://example.com/a.tar.gz --directory --output a
  larder cat e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0

Exit codes: 0 for success, 1 for any failure, 130 and 143 when a second SIGINT or SIGTERM cuts
"serve" off.`

const server = () =>
  new Option('--server <address>', 'the server to ask')
    .default('grpc://127.0.0.1:8981')
    .env('LARDER_SERVER')

/** The command line. Only flags that one changes by hand; all else is configuration. */
function createProgram(): Command {
  const program = new Command('larder')
    .description('Remote Asset server with content-addressable storage')
    .version(packageVersion(), '--version')
    .addHelpText('after', examples)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .showSuggestionAfterError(false)
  configured(program.command('serve').description('run the server')).action(serve)
  configured(program.command('check-config').description('check the configuration'))
    .option('--print', 'print the values in force and where each came from')
    .option('--reference', 'print all keys, as Markdown')
    .option('--json-schema', 'print the JSON Schema of the file')
    .action(checkConfig)
  program
    .command('fetch')
    .description('ask a running server for an asset, and store it if --output is given')
    .argument('<uri...>', 'one URI, or several mirrors of the same content')
    .option('--qualifier <name=value>', 'e.g. checksum.sri=sha256-…; may be repeated', append, [])
    .option('--directory', 'fetch a directory: an archive or repository, unpacked')
    .option('--output <path>', 'the file or, with --directory, the directory to make')
    .addOption(server())
    .option('--instance <name>', 'instance name', '')
    .option('--digest-function <name>', 'e.g. SHA256 or BLAKE3', 'SHA256')
    .option('--timeout <duration>', 'how long the server may work on it, e.g. 30s')
    .option('--json', 'print the answer as JSON')
    .action(fetchAsset)
  program
    .command('cat')
    .description('write a blob to standard output')
    .argument('<digest>', 'HASH/SIZE, with the digest function before it if it is BLAKE3')
    .addOption(server())
    .option('--instance <name>', 'instance name', '')
    .action(catBlob)
  return program
}

function configured(command: Command): Command {
  return command
    .addOption(new Option('--config <file>', 'YAML file').env('LARDER_CONFIG'))
    .option('--data <directory>', 'directory that holds everything that is kept')
    .option('--grpc-listen <address>', 'host:port or unix:/path for build clients')
    .option('--http-listen <address>', 'host:port, unix:/path or none, for health and metrics')
    .option('--mode <mode>', 'online or offline')
    .option('--log-level <level>', 'debug, info, warn or error')
}

function append(value: string, before: string[]): string[] {
  return [...before, value]
}

/** Runs a command line; failures become one sentence on standard error and exit code 1. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  const program = createProgram()
  process.stdout.on('error', endWithOutput)
  try {
    if (argv.length <= 2) program.help()
    await program.parseAsync(argv)
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0 || argv.length <= 2) return
      const usage = error.message.replace(/^error: |\.$/g, '')
      console.error(`larder: ${usage}; see "larder --help".`)
    } else console.error(`larder: ${failureText(error)}`)
    process.exitCode = 1
  }
}

/** Without a listener a pipe that `head` closed would end the process with a stack trace. */
function endWithOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit()
  console.error(
    `larder: Standard output cannot be written: ${systemReason(error) ?? error.message}.`,
  )
  process.exit(1)
}
