import { displayUri } from '../asset/asset-uri.ts'
import { clientDigestFunctions, type Digest, digestText } from '../asset/digest.ts'
import { parseDuration } from '../config/durations.ts'
import { digestFromProto, digestFunctionFromProto, digestFunctionToProto } from '../wire/digests.ts'
import type { ClientCallOptions } from '../wire/grpc-client.ts'
import { type Encodable, fetchService } from '../wire/methods.ts'
import { fromStatus } from '../wire/status.ts'
import { durationToProto } from '../wire/times.ts'
import { CliError } from './cli-error.ts'
import { showWaiting } from './progress.ts'
import { callFailure, openRemote, type Remote } from './remote-blobs.ts'
import { saveDirectory } from './save-directory.ts'
import { saveFile } from './save-file.ts'

interface FetchFlags {
  readonly qualifier: readonly string[]
  readonly directory?: boolean
  readonly output?: string
  readonly server: string
  readonly instance: string
  readonly digestFunction: string
  readonly timeout?: string
  readonly json?: boolean
}

/** Beyond the time that the server may take, for the answer itself. */
const answerMs = 10_000

interface Answer {
  readonly digest: Digest
  readonly uri: string
  readonly qualifiers: readonly { readonly name: string; readonly value: string }[]
}

/** `larder fetch URI…`: the digest of an asset, which the server fetches if it does not hold it. */
export async function fetchAsset(uris: readonly string[], flags: FetchFlags): Promise<void> {
  using remote = openRemote(flags.server, flags.instance)
  const { digest, uri, qualifiers } = await ask(remote, uris, flags)
  if (flags.output !== undefined) {
    const save = flags.directory ? saveDirectory : saveFile
    await save(remote, digest, flags.output)
  }
  if (!flags.json) return console.log(`${digestText(digest)}  ${uri}`)
  const { function: digestFunction, hash, sizeBytes } = digest
  console.log(JSON.stringify({ digestFunction, hash, sizeBytes, uri, qualifiers }))
}

async function ask(remote: Remote, uris: readonly string[], flags: FetchFlags): Promise<Answer> {
  const timeoutMs = flags.timeout === undefined ? undefined : parseTimeout(flags.timeout)
  const request = {
    instanceName: remote.instance,
    uris: [...uris],
    qualifiers: flags.qualifier.map(parseQualifierFlag),
    digestFunction: digestFunctionToProto(parseFunction(flags.digestFunction)),
    ...(timeoutMs === undefined ? {} : { timeout: durationToProto(timeoutMs) }),
  }
  const options = timeoutMs === undefined ? {} : { timeoutMs: timeoutMs + answerMs }
  const { answer, message } = await call(remote, request, options, flags.directory === true)
  if (answer.status?.code) throw callFailure(fromStatus(answer.status), remote)
  const digest = digestFromProto(message, digestFunctionFromProto(answer.digestFunction))
  const qualifiers = (answer.qualifiers ?? []).map(({ name, value }) => ({
    name: name ?? '',
    value: value ?? '',
  }))
  return { digest, uri: answer.uri ?? '', qualifiers }
}

async function call(
  remote: Remote,
  request: Encodable<typeof fetchService.methods.FetchBlob.request>,
  options: ClientCallOptions,
  isDirectory: boolean,
) {
  using _waiting = showWaiting(displayUri(request.uris?.[0] ?? ''))
  const { FetchBlob, FetchDirectory } = fetchService.methods
  try {
    if (isDirectory) {
      const answer = await remote.client.unary(FetchDirectory, request, options)
      return { answer, message: answer.rootDirectoryDigest }
    }
    const answer = await remote.client.unary(FetchBlob, request, options)
    return { answer, message: answer.blobDigest }
  } catch (error) {
    throw callFailure(error, remote)
  }
}

function parseTimeout(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new CliError(`--timeout ${text}: ${(error as Error).message}.`)
  }
}

function parseQualifierFlag(text: string): { name: string; value: string } {
  const equals = text.indexOf('=')
  // The text is not repeated: a header qualifier holds a secret.
  if (equals < 1) throw new CliError('--qualifier is written name=value.')
  return { name: text.slice(0, equals), value: text.slice(equals + 1) }
}

function parseFunction(text: string) {
  const found = clientDigestFunctions.find((name) => name === text.toUpperCase())
  if (found) return found
  throw new CliError(`--digest-function ${text} is none of ${clientDigestFunctions.join(', ')}.`)
}
