import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { google } from '../../src/gen/reapi.js'
import { fetchService } from '../../src/wire/methods.ts'
import { qualifiers, sri } from '../clients/requests.ts'
import {
  answerBody,
  answerStatus,
  cutShortAfter,
  redirectTo,
  resetAtOnce,
  stallAfter,
} from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient, RpcFailure } from '../fixtures/rpc-client.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const { FetchBlob, FetchDirectory } = fetchService.methods
const { BadRequest, Code, ErrorInfo, RetryInfo, Status } = google.rpc

const content = Buffer.from('what the build wants')
const other = Buffer.from('what the origin has')
const sizeLimitBytes = 100_000
const config = `
fetch: { attempts: 1, failures: FAILURES, maxSize: ${sizeLimitBytes}, failureTtl: 1s }
archive: { maxEntries: 3 }
`
const manyEntries = gzipSync(
  tarBytes(['a', 'b', 'c', 'd'].map((path) => ({ path, content: path }))),
)

type Values = Readonly<Record<string, string>>

interface Case {
  readonly name: string
  readonly kind?: 'directory'
  /** URIs to ask for, made at a running origin. */
  readonly uris: (origin: HttpOrigin, closedUrl: string) => string[]
  readonly qualifiers?: Values
  readonly timeoutSeconds?: number
  readonly rpc: string
  /** Undefined for what is always an RPC error. */
  readonly inline?: string
  /** What a person must be able to read in the message, beside the first URI. */
  readonly says: RegExp
  /** True if the message has to say something of each URI, or a URI twice. */
  readonly repeats?: true
  /** True if the answer tells when to come back. */
  readonly retry?: true
  /** Fields of BadRequest. */
  readonly fields?: readonly string[]
}

const checksum = { 'checksum.sri': sri(content) }
const hexOf = (bytes: Buffer) =>
  Buffer.from(sri(bytes).slice('sha256-'.length), 'base64').toString('hex')

const cases: readonly Case[] = [
  {
    name: 'a file that the origin has not',
    uris: (origin) => [`${origin.url}/missing`],
    rpc: 'NOT_FOUND',
    inline: 'NOT_FOUND',
    says: /answered 404 Not Found/,
  },
  {
    name: 'a name without an origin',
    uris: () => ['urn:fdc:example:nothing'],
    rpc: 'NOT_FOUND',
    inline: 'NOT_FOUND',
    says: /nothing is known by this name/,
  },
  {
    name: 'a directory by a name without an origin',
    kind: 'directory',
    uris: () => ['urn:fdc:example:nothing'],
    rpc: 'NOT_FOUND',
    inline: 'NOT_FOUND',
    says: /nothing is known by this name/,
  },
  {
    name: 'a file that is not in the archive',
    uris: (origin) => [origin.serve('/a.tgz', gzipSync(tarBytes([{ path: 'a', content: 'a' }])))],
    qualifiers: { directory: 'no/such/file' },
    rpc: 'NOT_FOUND',
    inline: 'NOT_FOUND',
    says: /no\/such/,
  },
  ...[401, 403].map(
    (status): Case => ({
      name: `an origin that answers ${status}`,
      uris: (origin) => [origin.serve(`/${status}`, answerStatus(status))],
      rpc: 'PERMISSION_DENIED',
      inline: 'PERMISSION_DENIED',
      says: new RegExp(`answered ${status}`),
    }),
  ),
  {
    name: 'a redirect in a circle',
    uris: (origin) => [origin.serve('/circle', redirectTo('/circle'))],
    rpc: 'PERMISSION_DENIED',
    inline: 'PERMISSION_DENIED',
    says: /redirects go in a circle/,
    repeats: true,
  },
  {
    name: 'a wrong checksum',
    uris: (origin) => [origin.serve('/other', answerBody(other))],
    qualifiers: checksum,
    rpc: 'FAILED_PRECONDITION',
    inline: 'ABORTED',
    says: new RegExp(`(?=.*${hexOf(content)})(?=.*${hexOf(other)})`),
  },
  {
    name: 'a wrong checksum of every mirror',
    uris: (origin) => [
      origin.serve('/other-1', answerBody(other)),
      origin.serve('/other-2', answerBody('third')),
    ],
    qualifiers: checksum,
    rpc: 'FAILED_PRECONDITION',
    inline: 'ABORTED',
    says: /none of 2 URIs.*\/other-1.*\/other-2/,
    repeats: true,
  },
  {
    name: 'a mirror that is down, and one that has it not',
    uris: (origin, closedUrl) => [`${origin.url}/missing`, `${closedUrl}/down`],
    rpc: 'UNAVAILABLE',
    inline: 'UNAVAILABLE',
    says: /none of 2 URIs.*404.*refused the connection/,
    retry: true,
  },
  ...[500, 503, 429].map(
    (status): Case => ({
      name: `an origin that answers ${status}`,
      uris: (origin) => [origin.serve(`/${status}`, answerStatus(status, { 'retry-after': '7' }))],
      rpc: 'UNAVAILABLE',
      inline: 'UNAVAILABLE',
      says: new RegExp(`answered ${status} .*7000 ms`),
      retry: true,
    }),
  ),
  {
    name: 'an origin that is down',
    uris: (_origin, closedUrl) => [`${closedUrl}/down`],
    rpc: 'UNAVAILABLE',
    inline: 'UNAVAILABLE',
    says: /127\.0\.0\.1:\d+ refused the connection/,
    retry: true,
  },
  {
    name: 'an origin that resets the connection',
    uris: (origin) => [origin.serve('/reset', resetAtOnce())],
    rpc: 'UNAVAILABLE',
    inline: 'UNAVAILABLE',
    says: /the connection was closed before an answer came/,
    retry: true,
  },
  {
    name: 'a body that is cut short',
    uris: (origin) => [origin.serve('/short', cutShortAfter(content, 5))],
    rpc: 'UNAVAILABLE',
    inline: 'UNAVAILABLE',
    says: /after 5 of 20 bytes/,
    retry: true,
  },
  {
    name: 'a fetch that runs out of time',
    uris: (origin) => [origin.serve('/stalled', stallAfter(content, 5))],
    timeoutSeconds: 0.3,
    rpc: 'DEADLINE_EXCEEDED',
    inline: 'DEADLINE_EXCEEDED',
    says: /took longer than 0\.3 s/,
  },
  {
    name: 'a file that is too large',
    uris: (origin) => [origin.serve('/large', Buffer.alloc(sizeLimitBytes + 1))],
    rpc: 'RESOURCE_EXHAUSTED',
    inline: 'RESOURCE_EXHAUSTED',
    says: new RegExp(`${sizeLimitBytes}`),
  },
  {
    name: 'an archive with too many entries',
    kind: 'directory',
    uris: (origin) => [origin.serve('/many.tar.gz', manyEntries)],
    rpc: 'RESOURCE_EXHAUSTED',
    inline: 'RESOURCE_EXHAUSTED',
    says: /= 3 .*archive\.maxEntries/,
  },
  { name: 'no URI', uris: () => [], rpc: 'INVALID_ARGUMENT', says: /uris: /, fields: ['uris'] },
  {
    name: 'a URI with a space',
    uris: () => ['http://host/a b'],
    rpc: 'INVALID_ARGUMENT',
    says: /spaces/,
    fields: ['uris'],
  },
  {
    name: 'a file of the server',
    uris: () => ['file:///etc/passwd'],
    rpc: 'INVALID_ARGUMENT',
    says: /files of the server are not served/,
  },
  {
    name: 'a bad checksum',
    uris: (origin) => [`${origin.url}/a`],
    qualifiers: { 'checksum.sri': 'sha256-short' },
    rpc: 'INVALID_ARGUMENT',
    says: /checksum\.sri .*sha256-short/,
    fields: ['qualifiers.value'],
  },
  {
    name: 'qualifiers that nobody understands',
    uris: (origin) => [`${origin.url}/a`],
    qualifiers: { first: '1', second: '2' },
    rpc: 'INVALID_ARGUMENT',
    says: /"first" not supported, "second" not supported/,
    fields: ['qualifiers.name', 'qualifiers.name'],
  },
  {
    name: 'a branch and a tag at once',
    kind: 'directory',
    uris: (origin) => [`${origin.url}/r.git`],
    qualifiers: { 'vcs.branch': 'a', 'vcs.tag': 'b' },
    rpc: 'INVALID_ARGUMENT',
    says: /vcs\.branch and vcs\.tag/,
    fields: ['qualifiers.name'],
  },
]

/** A failure, wherever it stood. */
interface Failure {
  readonly code: string
  readonly message: string
  readonly details: readonly google.protobuf.Any.$Properties[]
  readonly isInline: boolean
}

async function failureOf(client: RpcClient, one: Case, uris: string[]): Promise<Failure> {
  const request = {
    uris,
    qualifiers: qualifiers(one.qualifiers ?? {}),
    ...(one.timeoutSeconds === undefined
      ? {}
      : { timeout: { nanos: Math.round(one.timeoutSeconds * 1e9) } }),
  }
  try {
    const answer =
      one.kind === 'directory'
        ? await client
            .unary(FetchDirectory, request)
            .then(({ rootDirectoryDigest: digest, ...rest }) => ({ ...rest, digest }))
        : await client
            .unary(FetchBlob, request)
            .then(({ blobDigest: digest, ...rest }) => ({ ...rest, digest }))
    assert.ok(answer.status?.code, 'the fetch failed')
    assert.equal(answer.digest, null, 'no digest that a client could take for content')
    assert.ok(uris.includes(answer.uri), 'the answer names a URI of the request')
    const { code, message, details } = answer.status
    return {
      code: Code[code] ?? '',
      message: message ?? '',
      details: details ?? [],
      isInline: true,
    }
  } catch (error) {
    if (!(error instanceof RpcFailure)) throw error
    const [bytes] = error.metadata.get('grpc-status-details-bin')
    const status = Buffer.isBuffer(bytes) ? Status.decode(bytes) : undefined
    if (status) {
      assert.equal(Code[status.code], error.code, 'the details have the code of the call')
      assert.equal(status.message, error.details)
    }
    const { code, details: message } = error
    return { code, message, details: status?.details ?? [], isInline: false }
  }
}

function detail<T>(
  { details }: Failure,
  name: string,
  decode: (bytes: Uint8Array) => T,
): T | undefined {
  const found = details.find(
    ({ type_url }) => type_url === `type.googleapis.com/google.rpc.${name}`,
  )
  return found && decode(found.value ?? new Uint8Array())
}

/** What a person who reads the message in a build's log needs. */
function assertReadable(
  failure: Failure,
  uris: readonly string[],
  { says, fields, repeats }: Case,
): void {
  const { message } = failure
  assert.match(message, says)
  if (fields === undefined) {
    for (const uri of uris) assert.ok(message.includes(uri), `${message}\ndoes not name ${uri}`)
  }
  assert.doesNotMatch(message, /\n|undefined|\[object|node:|\.ts|UND_ERR|Error:|\bat \//)
  if (!repeats) assert.doesNotMatch(message, /(.{30,}).*\1/, 'nothing is said twice')
  assert.ok(message.length < 600, message)
}

function assertDetails(failure: Failure, one: Case): void {
  const retry = detail(failure, 'RetryInfo', (bytes) => RetryInfo.decode(bytes))
  assert.equal(retry !== undefined, one.retry === true, 'RetryInfo')
  if (one.says.source.includes('7000 ms')) assert.equal(retry?.retryDelay?.seconds, 7)
  const bad = detail(failure, 'BadRequest', (bytes) => BadRequest.decode(bytes))
  assert.deepEqual(
    bad?.fieldViolations.map(({ field }) => field),
    one.fields,
  )
  for (const { description } of bad?.fieldViolations ?? []) assert.ok(description)
  const info = detail(failure, 'ErrorInfo', (bytes) => ErrorInfo.decode(bytes))
  if (info) assert.equal(info.domain, 'larder')
}

for (const failures of ['rpc', 'inline'] as const) {
  describe(`fetch.failures: ${failures}`, { timeout: 60_000 }, () => {
    let larder: LarderServer
    let client: RpcClient
    let origin: HttpOrigin
    let closed: HttpOrigin
    before(async () => {
      origin = await startOrigin()
      closed = await startOrigin()
      await closed.stop()
      larder = await startLarder({ config: config.replace('FAILURES', failures) })
      client = new RpcClient(larder.grpcUrl)
    })
    after(async () => {
      client[Symbol.dispose]()
      await larder[Symbol.asyncDispose]()
      await origin[Symbol.asyncDispose]()
    })

    for (const one of cases) {
      test(`${one.name} is ${failures === 'rpc' ? one.rpc : (one.inline ?? one.rpc)}`, async () => {
        const uris = one.uris(origin, closed.url)
        const failure = await failureOf(client, one, uris)
        const isInline = failures === 'inline' && one.inline !== undefined
        assert.equal(failure.code, isInline ? one.inline : one.rpc, failure.message)
        assert.equal(failure.isInline, isInline, 'where the failure stands')
        assertReadable(failure, uris, one)
        assertDetails(failure, one)
      })
    }
  })
}

describe('in offline mode', { timeout: 60_000 }, () => {
  test('what is not held is NOT_FOUND, and the message says why', async () => {
    await using larder = await startLarder({ args: ['--mode', 'offline'] })
    using client = new RpcClient(larder.grpcUrl)
    const uri = 'https://host.invalid/a.tar.gz'
    const says = { code: 'NOT_FOUND', details: new RegExp(`${uri}: not held.* offline mode`) }
    await assert.rejects(client.unary(FetchBlob, { uris: [uri] }), says)
    await assert.rejects(client.unary(FetchDirectory, { uris: [uri] }), says)
  })
})
