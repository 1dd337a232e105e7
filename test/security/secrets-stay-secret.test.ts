import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Metadata } from '@grpc/grpc-js'
import { fetchService, type MessageType, type Method, pushService } from '../../src/wire/methods.ts'
import { runLarder } from '../cli/run-larder.ts'
import { qualifiers, sri, upload } from '../clients/requests.ts'
import { gitServer } from '../fixtures/git-server.ts'
import {
  answerBody,
  answerStatus,
  rawAnswer,
  redirectTo,
  resetAtOnce,
  stallBeforeHeaders,
} from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, type OriginHandler, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { type Headers, RpcClient, RpcFailure } from '../fixtures/rpc-client.ts'
import { createSentinel, findInFiles, type Sentinel } from '../fixtures/sentinel.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const { FetchBlob, FetchDirectory } = fetchService.methods
const { PushBlob, PushDirectory } = pushService.methods

const content = Buffer.from('content that says nothing about who fetched it')
const archive = gzipSync(tarBytes([{ path: 'a.txt', content }]))

/** What has come out of the server, with where. */
class Outputs {
  readonly sentinel: Sentinel
  readonly leaks: string[] = []
  answers = 0
  failures: string[] = []

  constructor(sentinel: Sentinel) {
    this.sentinel = sentinel
  }

  add(where: string, bytes: Uint8Array | string): void {
    for (const form of this.sentinel.formsIn(bytes)) this.leaks.push(`${form} in ${where}`)
  }

  /** Awaits a call, however it ends, and looks at all that it brought. */
  async of(where: string, method: Method, call: Promise<unknown>): Promise<void> {
    try {
      const answer = await call
      this.answers += 1
      const { response } = method as { response: MessageType }
      this.add(`the answer of ${where}`, response.encode(answer as never).finish())
    } catch (error) {
      if (!(error instanceof RpcFailure)) throw error
      this.failures.push(error.code)
      this.add(`the message of ${where}: ${error.message}`, error.details)
      this.addMetadata(`the metadata of ${where}`, error.metadata)
    }
  }

  addMetadata(where: string, metadata: Metadata): void {
    for (const [key, values] of Object.entries(metadata.toJSON())) {
      for (const value of values) this.add(`${where}, ${key}`, value as string | Buffer)
    }
  }
}

type Qualifiers = Readonly<Record<string, string>>

interface Place {
  readonly larder: LarderServer
  readonly client: RpcClient
  readonly origin: HttpOrigin
  readonly outputs: Outputs
  readonly secret: string
}

/** Blob and directory alike. */
async function fetchBoth(
  { client, outputs }: Place,
  uri: string,
  values: Qualifiers,
  headers: Headers = {},
): Promise<void> {
  // All others must come to their own end, however busy the machine is.
  const timeout = { seconds: uri.endsWith('/stall') ? 1 : 60 }
  const request = { uris: [uri], qualifiers: qualifiers(values), timeout }
  const shown = `${uri} with ${Object.keys(values).join(', ')}`
  await Promise.all([
    outputs.of(`FetchBlob of ${shown}`, FetchBlob, client.unary(FetchBlob, request, headers)),
    outputs.of(
      `FetchDirectory of ${shown}`,
      FetchDirectory,
      client.unary(FetchDirectory, request, headers),
    ),
  ])
}

/** Every way in which a request may carry a secret to a URL. */
function ways(url: string, secret: string): [uri: string, qualifiers: Qualifiers][] {
  const bearer = `Bearer ${secret}`
  const withInfo = (info: string) => url.replace('://', `://${info}@`)
  return [
    [url, { 'http_header:Authorization': bearer }],
    [url, { 'http_header:X-Odd-Name': secret }],
    [url, { 'http_header_url:0:PRIVATE-TOKEN': secret }],
    [url, { 'bazel.auth_headers': JSON.stringify({ [url]: { Authorization: bearer } }) }],
    [withInfo(`user:${secret}`), {}],
    [withInfo(`user:%2F${secret}%40`), {}],
    [withInfo(`user:a@${secret}`), {}],
    [withInfo(secret), {}],
    [withInfo(`${secret}:x-oauth-basic`), {}],
    [
      withInfo(`user:${secret}`),
      {
        'bazel.auth_headers': JSON.stringify({
          [withInfo(`user:${secret}`)]: { Authorization: bearer },
        }),
      },
    ],
  ]
}

/** An origin that knows every bad way of answering, and repeats the secret in some of them. */
function behaviours(secret: string, other: HttpOrigin): Readonly<Record<string, OriginHandler>> {
  return {
    '/a.tar.gz': answerBody(archive),
    '/401': answerStatus(401, { 'www-authenticate': `Bearer error="${secret}"` }),
    '/403': (_request, response) => void response.writeHead(403, `no ${secret}`).end(secret),
    '/404': answerStatus(404),
    '/429': answerStatus(429, { 'retry-after': '1' }),
    '/500': (_request, response) => void response.writeHead(500).end(`${secret}\n`),
    '/reset': resetAtOnce(),
    '/stall': stallBeforeHeaders(),
    '/not-http': rawAnswer(`HTTP/1.1 200 OK\r\n${secret} \r\n\r\n`),
    '/not-http-at-all': rawAnswer(`${secret}\r\n\r\n`),
    '/login.tar.gz': redirectTo('/page'),
    '/elsewhere.tar.gz': redirectTo(`${other.url}/a.tar.gz?signature=${secret}`),
    '/elsewhere-missing': redirectTo(`${other.url}/missing?signature=${secret}`),
    '/circle': redirectTo(`/circle?token=${secret}`),
    '/bad-redirect': redirectTo(`ftp://user:${secret}@host/`),
  }
}

async function fetchEverything(place: Place, other: HttpOrigin, closedUrl: string): Promise<void> {
  const { origin, secret, outputs, client } = place
  origin.serve('/page', answerBody(`<title>${secret}</title>`, { 'content-type': 'text/html' }))
  const urls = Object.entries(behaviours(secret, other)).map(([path, behaviour]) =>
    origin.serve(path, behaviour),
  )
  urls.push(`${closedUrl}/refused`, 'http://host.invalid/a', 'jar:https://127.0.0.1:1/a!/b')
  urls.push('ftp://127.0.0.1:1/a', 'file://host/a')
  const fetches = urls.flatMap((url) => ways(url, secret))
  for (const [uri, values] of ways(origin.serve('/wrong', answerBody('other')), secret)) {
    fetches.push([uri, { ...values, 'checksum.sri': sri(Buffer.from('not this')) }])
  }
  await Promise.all(fetches.map((way) => fetchBoth(place, ...way)))
  // gRPC's own credentials, which are for Larder and must not be shown either.
  const metadata = { authorization: `Bearer ${secret}`, 'x-secret-bin': Buffer.from(secret) }
  await fetchBoth(place, `${origin.url}/404?x`, {}, metadata)
  await fetchBoth(place, `${origin.url}/a.tar.gz`, {}, metadata)
  const { length } = outputs.failures
  for (const malformed of malformedQualifiers(secret)) {
    await fetchBoth(place, `${origin.url}/a.tar.gz`, malformed)
  }
  const codes = new Set(outputs.failures.slice(length))
  assert.deepEqual([...codes], ['INVALID_ARGUMENT'], 'all of these are refused')
  await Promise.all(
    malformedQualifiers(secret).map((values) =>
      outputs.of(
        'PushBlob with malformed qualifiers',
        PushBlob,
        client.unary(PushBlob, { uris: ['urn:a'], qualifiers: qualifiers(values) }),
      ),
    ),
  )
}

function malformedQualifiers(secret: string): Qualifiers[] {
  return [
    { 'http_header:Authorization': `Bearer ${secret}\r\nHost: elsewhere` },
    { 'http_header:Authorization': `Bearer ${secret} €` },
    // Name and value in one, as a person may well write it.
    { [`http_header:Authorization: Bearer ${secret}`]: '' },
    { [`http_header_url:0:Authorization: Bearer ${secret}`]: '' },
    { [`http_header_url:Authorization: Bearer ${secret}`]: '' },
    { 'http_header:Range': secret },
    { 'http_header_url:x:Authorization': secret },
    { 'bazel.auth_headers': `{"https://host/": {"Authorization": "Bearer ${secret}"` },
    { 'bazel.auth_headers': `Bearer ${secret}` },
    { 'bazel.auth_headers': `["${secret}"]` },
    { 'bazel.auth_headers': `{"https://host/": "${secret}"}` },
    { 'bazel.auth_headers': `{"https://host/": {"Authorization": ["${secret}"]}}` },
    { 'bazel.auth_headers': `{"https://host/": {"Authorization": "\\u0000${secret}"}}` },
    { 'bazel.auth_headers': `{"https://host/": {"Authorization ${secret}": "x"}}` },
    { 'http_header:Authorization': secret, 'bazel.canonical_id': 'x', unknown: 'x' },
  ]
}

async function pushEverything({ client, outputs, origin, secret }: Place): Promise<void> {
  const [blobDigest] = await upload(client, [content])
  assert.ok(blobDigest)
  for (const [index, [uri, values]] of ways(`${origin.url}/pushed`, secret).entries()) {
    const uris = [`${uri}/${index}`]
    const named = qualifiers({ ...values, index: String(index) })
    const blob = { uris, qualifiers: named, blobDigest }
    await outputs.of(`PushBlob ${index}`, PushBlob, client.unary(PushBlob, blob))
    const tree = { uris, qualifiers: named, rootDirectoryDigest: { hash: '', sizeBytes: 0 } }
    await outputs.of(`PushDirectory ${index}`, PushDirectory, client.unary(PushDirectory, tree))
    const asked = { uris, qualifiers: named }
    await outputs.of(`FetchBlob of push ${index}`, FetchBlob, client.unary(FetchBlob, asked))
  }
}

async function fetchRepositories(place: Place): Promise<void> {
  const { secret, outputs, client } = place
  await using server = await gitServer()
  const repository = server.repository('r')
  await writeFile(join(repository.directory, 'a.txt'), content)
  const id = repository.commit('first')
  const fetchDirectory = (uri: string, values: Qualifiers) =>
    outputs.of(
      `FetchDirectory of ${uri}`,
      FetchDirectory,
      client.unary(FetchDirectory, { uris: [uri], qualifiers: qualifiers(values) }),
    )
  const { answers } = outputs
  await Promise.all(
    ways(repository.url, secret).flatMap(([uri, values]) => [
      fetchDirectory(`git+${uri}`, { ...values, 'vcs.branch': 'main' }),
      fetchDirectory(uri, { ...values, 'vcs.commit': id }),
    ]),
  )
  assert.ok(outputs.answers >= answers + 15, `${outputs.answers - answers} trees`)
  const sent = server.headers.filter((headers) => sentTo(outputs.sentinel, headers))
  assert.ok(sent.length >= 10, 'the git server has received the secret')
  // git prints what such a server says.
  for (const status of [401, 404, 500]) {
    server.intercept = (request, response) => {
      const text = `not valid: ${credentialsIn(request.headers).join(' ')}\n`
      response.writeHead(status, { 'content-type': 'text/plain' }).end(text)
      return true
    }
    await Promise.all(
      ways(repository.url, secret).map(([uri, values]) =>
        fetchDirectory(uri, { ...values, 'vcs.branch': `of-${status}` }),
      ),
    )
  }
  const sshUrl = `ssh://user:${secret}@127.0.0.1:1/r.git`
  for (const uri of [sshUrl, `git+${sshUrl}`]) await fetchDirectory(uri, {})
}

function sentTo(sentinel: Sentinel, headers: IncomingHttpHeaders): boolean {
  return credentialsIn(headers).some((text) => text.includes(sentinel.secret))
}

/** Values of the headers that carry credentials; those of Basic also in plain text. */
function credentialsIn(headers: IncomingHttpHeaders): string[] {
  const values = ['authorization', 'private-token', 'x-odd-name'].flatMap(
    (name) => headers[name] ?? [],
  )
  const basic = values.filter((value) => value.startsWith('Basic '))
  return [...values, ...basic.map((value) => Buffer.from(value.slice(6), 'base64').toString())]
}

async function useCommandLine({ larder, origin, outputs, secret }: Place): Promise<void> {
  const bearer = `http_header:Authorization=Bearer ${secret}`
  const cases = [
    ['fetch', `${origin.url}/404?cli`, '--qualifier', bearer],
    ['fetch', `${origin.url}/a.tar.gz`, '--qualifier', bearer, '--json'],
    ['fetch', `${origin.url}/a.tar.gz`, '--qualifier', `http_header:A: ${secret}=x`],
    ['fetch', `${origin.url}/401?cli`.replace('://', `://user:${secret}@`)],
    ['fetch', `${origin.url}/a.tar.gz`, '--qualifier', secret],
    ['fetch', `${origin.url}/a.tar.gz`, '--qualifier', bearer, '--output', '/nowhere/at/all'],
  ]
  const run = async (args: readonly string[]) => {
    const { stdout, stderr } = await runLarder([...args, '--server', larder.grpcUrl])
    assert.ok(stdout.byteLength + stderr.length > 0)
    outputs.add(`the output of ${args.join(' ').replaceAll(secret, '…')}`, `${stdout}${stderr}`)
  }
  await Promise.all(cases.map(run))
}

/** Programs that note their arguments, and let git note those of the programs that it starts. */
async function recordingPrograms(directory: string): Promise<string> {
  const log = join(directory, 'arguments.log')
  const { stdout } = spawnSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' })
  const scripts = {
    git: `printf 'git %s\\n' "$*" >> '${log}'\nGIT_TRACE='${log}' exec '${stdout.trim()}' "$@"\n`,
    ssh: `printf 'ssh %s\\n' "$*" >> '${log}'\nexit 255\n`,
  }
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}`)
    await chmod(join(directory, name), 0o755)
  }
  return log
}

test('the search finds a secret in each form', () => {
  const sentinel = createSentinel()
  const { secret } = sentinel
  for (const text of [secret, encodeURIComponent(`é/${secret}`), `x${secret}x`]) {
    assert.deepEqual(sentinel.formsIn(text), ['plain'])
    assert.deepEqual(sentinel.formsIn(Buffer.from(text).toString('hex')), ['hex'])
  }
  for (const user of ['', 'a', 'ab', 'abc', 'user:']) {
    const pair = Buffer.from(`${user}${secret}`).toString('base64')
    assert.equal(sentinel.formsIn(`Basic ${pair}`).length, 1, user)
  }
  assert.deepEqual(sentinel.formsIn(createSentinel().secret), [])
})

describe('a secret that a request brings', { timeout: 150_000 }, () => {
  for (const format of ['json', 'pretty']) {
    test(`goes to its origin and nowhere else (log format ${format})`, async () => {
      const directory = await mkdtemp(join(tmpdir(), 'larder-secrets-'))
      await using cleanup = new AsyncDisposableStack()
      cleanup.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
      const argumentsLog = await recordingPrograms(directory)
      await using origin = await startOrigin()
      await using other = await startOrigin()
      await using closed = await startOrigin()
      await closed.stop()
      other.serve('/a.tar.gz', archive)
      const dataDir = join(directory, 'data')
      await using larder = await startLarder({
        dataDir,
        args: ['--log-level', 'debug'],
        config: 'fetch: { attempts: 1, concurrency: 256, perHost: 256 }',
        env: {
          LARDER_LOG_FORMAT: format,
          PATH: `${directory}${delimiter}${process.env.PATH}`,
        },
      })
      using client = new RpcClient(larder.grpcUrl)
      const sentinel = createSentinel()
      const outputs = new Outputs(sentinel)
      const place = { larder, client, origin, outputs, secret: sentinel.secret }

      await pushEverything(place)
      await fetchEverything(place, other, closed.url)
      await fetchRepositories(place)
      await useCommandLine(place)
      for (const path of ['/', '/status', '/metrics', '/readyz']) {
        outputs.add(path, await (await fetch(larder.httpUrl + path)).text())
      }
      outputs.leaks.push(...(await findInFiles(sentinel, dataDir)))
      await larder.stop()
      outputs.leaks.push(...(await findInFiles(sentinel, dataDir)))
      outputs.add('the log', larder.log())
      outputs.add('arguments of programs', await readFile(argumentsLog))
      assert.deepEqual([...new Set(outputs.leaks)], [])

      // All of it would mean nothing if the secret had not been there.
      const received = origin.requests.filter(({ headers }) => sentTo(sentinel, headers))
      assert.ok(received.length > 100, `the origin received it ${received.length} times`)
      const strayed = other.requests.filter(({ headers }) => sentTo(sentinel, headers))
      assert.ok(other.requests.length > 5, 'redirects were followed')
      assert.deepEqual(strayed, [], 'another origin received it')
      const codes = [...new Set(outputs.failures)].sort()
      for (const code of ['DEADLINE_EXCEEDED', 'FAILED_PRECONDITION', 'NOT_FOUND']) {
        assert.ok(codes.includes(code), `${code} is not among ${codes}`)
      }
      assert.match(larder.log(), /fetch failed/)
      assert.match(larder.log(), /FetchDirectory/)
      assert.match(await readFile(argumentsLog, 'utf8'), /git-remote-http/)
      assert.match(await readFile(argumentsLog, 'utf8'), /^ssh .*127\.0\.0\.1/m)
    })
  }
})
