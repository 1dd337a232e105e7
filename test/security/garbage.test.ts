import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type ServiceDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import fc from 'fast-check'
import * as wire from '../../src/wire/methods.ts'
import { sha256Digest, upload } from '../clients/requests.ts'
import { stallBeforeHeaders } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { http2Request, openHttp2, type RawOutcome, RawRpcClient } from '../fixtures/raw-rpc.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { metric, metricReaches } from '../fixtures/server-metrics.ts'

const services = [
  wire.fetchService,
  wire.pushService,
  wire.contentAddressableStorageService,
  wire.byteStreamService,
  wire.actionCacheService,
  wire.capabilitiesService,
  wire.healthService,
]
/** Relative to `protos/`. */
const protoFiles = [
  'grpc/health/v1/health.proto',
  'google/bytestream/bytestream.proto',
  'build/bazel/remote/asset/v1/remote_asset.proto',
  'build/bazel/remote/execution/v2/remote_execution.proto',
]
const methods: readonly wire.Method[] = services.flatMap(({ methods: all }) => Object.values(all))
/** A watch of the health does not end by itself. */
const ending = methods.filter(({ path }) => path !== wire.healthService.methods.Watch.path)

/** Memory may grow by this much; a leak of each message would be many times as much. */
const growthBytesMax = 200 * 1024 * 1024
const handled = 'grpc_server_handled_total'
const lookups = 'larder_index_lookups_total'
const maxInt64 = '9223372036854775807'
const minInt64 = '-9223372036854775808'

const content = Buffer.from('held before all of this')
const held = sha256Digest(content)
const absent = { hash: 'ab'.repeat(32), sizeBytes: 5 }
const cas = wire.contentAddressableStorageService.methods
const { FetchBlob, FetchDirectory } = wire.fetchService.methods
const { PushBlob, PushDirectory } = wire.pushService.methods
const { Read, Write, QueryWriteStatus } = wire.byteStreamService.methods
const { GetActionResult, UpdateActionResult } = wire.actionCacheService.methods

const root = resolve(import.meta.dirname, '../..')
const definitions = loadSync(protoFiles, { includeDirs: [join(root, 'protos')], longs: String })

/** A request with values that the codecs of `src/` refuse to write. */
function encoded({ path }: wire.Method, value: object): Buffer {
  const [, service = '', method = ''] = path.split('/')
  const definition = definitions[service] as ServiceDefinition | undefined
  const serialize = definition?.[method]?.requestSerialize
  if (serialize === undefined) throw new Error(`no definition of ${path}`)
  return serialize(value)
}

const badDigests = [
  {},
  { hash: '', sizeBytes: 1 },
  { hash: 'zz'.repeat(32), sizeBytes: 1 },
  { hash: 'AB'.repeat(32), sizeBytes: 1 },
  { hash: 'ab'.repeat(31), sizeBytes: 1 },
  { hash: `${'../'.repeat(21)}a`, sizeBytes: 1 },
  { ...absent, sizeBytes: -1 },
  { ...absent, sizeBytes: minInt64 },
  { ...absent, sizeBytes: maxInt64 },
]
const times = [
  { seconds: maxInt64, nanos: 2 ** 31 - 1 },
  { seconds: minInt64, nanos: -(2 ** 31) },
]
const uris = ['urn:nothing']
const manyUris = Array.from({ length: 100_000 }, () => 'http://127.0.0.1:1/')
const manyQualifiers = Array.from({ length: 100_000 }, (_, index) => ({ name: `${index}` }))
const bigQualifier = [{ name: 'a', value: 'x'.repeat(7_000_000) }]
const names = [
  '',
  '/',
  'blobs',
  `blobs/${'ab'.repeat(32)}/-1`,
  'a/'.repeat(100_000),
  '\u0000',
  '..',
]
const upToWrite = `uploads/11111111-1111-4111-8111-111111111111/blobs/${absent.hash}/5`

/** Requests that decode and mean nothing good. All must be refused, and with INVALID_ARGUMENT. */
const refused: readonly [wire.Method, object[]][] = [
  ...[FetchBlob, FetchDirectory].map((method): [wire.Method, object[]] => [
    method,
    [
      {},
      { uris: [''] },
      { uris: manyUris },
      { uris: ['http://'.padEnd(1_000_000, 'x')] },
      { uris, qualifiers: manyQualifiers },
      { uris, qualifiers: bigQualifier },
      { uris, qualifiers: [{}] },
      { uris, digestFunction: 9999 },
      { uris, digestFunction: -1 },
      ...times.map((timeout) => ({ uris, timeout })),
      ...times.map((oldestContentAccepted) => ({ uris, oldestContentAccepted })),
    ],
  ]),
  [
    PushBlob,
    [
      {},
      { uris },
      { uris: manyUris, blobDigest: held },
      { uris, blobDigest: held, qualifiers: bigQualifier },
      { uris, blobDigest: held, digestFunction: 9999 },
      ...times.map((expireAt) => ({ uris, blobDigest: held, expireAt })),
      ...badDigests.slice(0, -1).map((blobDigest) => ({ uris, blobDigest })),
      ...badDigests.slice(1, -1).map((bad) => ({ uris, blobDigest: held, referencesBlobs: [bad] })),
    ],
  ],
  [
    PushDirectory,
    [{}, { uris }, ...badDigests.slice(0, -1).map((bad) => ({ uris, rootDirectoryDigest: bad }))],
  ],
  [cas.FindMissingBlobs, badDigests.slice(0, -1).map((bad) => ({ blobDigests: [bad] }))],
  [cas.BatchReadBlobs, badDigests.slice(-2).map((bad) => ({ digests: [bad] }))],
  [
    cas.GetTree,
    [
      {},
      ...badDigests.slice(0, -1).map((rootDigest) => ({ rootDigest })),
      { rootDigest: absent, pageSize: -1 },
    ],
  ],
  [GetActionResult, [{}, ...badDigests.slice(0, -1).map((actionDigest) => ({ actionDigest }))]],
  [
    UpdateActionResult,
    [
      {},
      { actionDigest: absent },
      ...badDigests.slice(0, -1).map((actionDigest) => ({ actionDigest, actionResult: {} })),
    ],
  ],
  [Read, names.map((resourceName) => ({ resourceName }))],
  [QueryWriteStatus, names.map((resourceName) => ({ resourceName }))],
  [
    Write,
    [
      {},
      ...names.map((resourceName) => ({ resourceName })),
      { resourceName: upToWrite, writeOffset: -1 },
      { resourceName: upToWrite, writeOffset: maxInt64, data: content },
      { resourceName: upToWrite, writeOffset: 3, data: content },
      { resourceName: upToWrite, data: content, finishWrite: true },
      { resourceName: upToWrite, data: Buffer.from('wrong'), finishWrite: true },
      { resourceName: upToWrite, finishWrite: true },
    ],
  ],
]

/** Bytes that no encoder makes. Whether one decodes depends on the method's message. */
const oddBytes: Readonly<Record<string, Buffer>> = {
  'invalid UTF-8': Buffer.from([0x0a, 4, 0xff, 0xfe, 0xc0, 0x80]),
  'a string longer than the message': Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 1]),
  'an endless varint': Buffer.alloc(1000, 0xff),
  'groups, nested deeply': Buffer.alloc(1_000_000, 0x7b),
  'messages, nested deeply': nested(5000),
  'the field number zero': Buffer.from([0x00, 0x00]),
  'the end of a group alone': Buffer.from([0x7c]),
  'fields that are not known': Buffer.from([0xfa, 0xff, 0x7f, 2, 1, 2]),
}

/** A message in the first field of a message, and so on. */
function nested(depth: number): Buffer {
  let bytes: Buffer = Buffer.alloc(0)
  for (let level = 0; level < depth; level += 1) {
    const head = [0x0a]
    let rest = bytes.byteLength
    for (; rest > 127; rest >>>= 7) head.push((rest & 127) | 128)
    bytes = Buffer.concat([Buffer.from([...head, rest]), bytes])
  }
  return bytes
}

/** Words that tell of the server's inside and help nobody. */
const insideWords =
  /\n|node_modules|\.[jt]s:\d|\bat \w+[.(]|TypeError|RangeError|undefined|\[object|internal error/

/** What the outcome has of what it must not have. */
function complaints(what: string, { code, details }: RawOutcome, only?: string): string[] {
  const found: string[] = []
  if (code === 'UNKNOWN' || code === 'INTERNAL') found.push(`${what}: ${code} ${details}`)
  if (only !== undefined && code !== only) found.push(`${what}: ${code} ${details}`)
  if (code !== 'OK' && details === '') found.push(`${what}: ${code} without a message`)
  if (insideWords.test(details)) found.push(`${what}: the message is ${details}`)
  if (details.length > 3000) found.push(`${what}: the message has ${details.length} characters`)
  return found
}

async function rssBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) * 1024
}

async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

describe('garbage', { timeout: 120_000 }, () => {
  let larder: LarderServer
  let origin: HttpOrigin
  let client: RawRpcClient
  let blobsAtStart = 0

  before(async () => {
    origin = await startOrigin()
    larder = await startLarder()
    client = new RawRpcClient(larder.grpcUrl)
    using honest = new RpcClient(larder.grpcUrl)
    await upload(honest, [content])
    blobsAtStart = await metric(larder, 'larder_cas_blobs')
  })

  after(async () => {
    client[Symbol.dispose]()
    await larder[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })

  /** It lives, has said nothing of failures of its own, and shows nothing of what it was sent. */
  async function isUnharmed(): Promise<void> {
    using honest = new RpcClient(larder.grpcUrl)
    await honest.unary(wire.capabilitiesService.methods.GetCapabilities, {})
    const { missingBlobDigests } = await honest.unary(cas.FindMissingBlobs, {
      blobDigests: [held, absent],
    })
    assert.deepEqual(
      missingBlobDigests.map(({ hash }) => hash),
      [absent.hash],
    )
    assert.equal(await metric(larder, 'larder_cas_blobs'), blobsAtStart)
    assert.equal(await metric(larder, 'larder_assets'), 0)
    assert.doesNotMatch(larder.log(), /"level":"error"/)
    const temporary = join(larder.dataDir, 'cas', 'tmp')
    while ((await readdir(temporary)).length > 0) await metric(larder, 'larder_cas_blobs')
  }

  test('as requests that decode is refused in words that name the field', async () => {
    const found: string[] = []
    for (const [method, values] of refused) {
      await Promise.all(
        values.map(async (value) => {
          const outcome = await client.call(method.path, [encoded(method, value)])
          const what = `${method.path} of ${JSON.stringify(value).slice(0, 120)}`
          found.push(...complaints(what, outcome, 'INVALID_ARGUMENT'))
        }),
      )
    }
    assert.deepEqual(found, [])
    await isUnharmed()
  })

  test('as digests in a batch is refused for each of them', async () => {
    using honest = new RpcClient(larder.grpcUrl)
    // The codecs of `src/` cannot write the last two.
    const bad = badDigests.slice(0, -2).map(({ hash = '', sizeBytes = 0 }) => ({
      hash,
      sizeBytes: Number(sizeBytes),
    }))
    const digests = [...bad, held]
    const { responses } = await honest.unary(cas.BatchReadBlobs, { digests })
    const codes = responses.map(({ status: inner }) => inner?.code ?? 0)
    assert.deepEqual(codes, [...bad.map(() => status.INVALID_ARGUMENT), 0])
  })

  test('as offsets and limits is refused', async () => {
    const resourceName = `blobs/${held.hash}/${held.sizeBytes}`
    for (const readOffset of [-1, 2 ** 53 - 1, held.sizeBytes + 1]) {
      const outcome = await client.call(Read.path, [encoded(Read, { resourceName, readOffset })])
      assert.equal(outcome.code, 'OUT_OF_RANGE', outcome.details)
    }
    // Beyond what a double counts exactly, the message is refused as a whole.
    for (const readOffset of [minInt64, maxInt64]) {
      const outcome = await client.call(Read.path, [encoded(Read, { resourceName, readOffset })])
      assert.equal(outcome.code, 'INVALID_ARGUMENT', outcome.details)
    }
    for (const readLimit of [-1, minInt64]) {
      const outcome = await client.call(Read.path, [encoded(Read, { resourceName, readLimit })])
      assert.match(outcome.code, /^(OUT_OF_RANGE|INVALID_ARGUMENT)$/, outcome.details)
    }
    const all = { resourceName, readLimit: 2 ** 53 - 1 }
    assert.equal((await client.call(Read.path, [encoded(Read, all)])).code, 'OK')
    await isUnharmed()
  })

  test('as bytes is answered clearly by every method', async () => {
    const found: string[] = []
    for (const { path } of ending) {
      await Promise.all(
        Object.entries(oddBytes).map(async ([name, bytes]) => {
          found.push(...complaints(`${path}: ${name}`, await client.call(path, [bytes])))
        }),
      )
      const none = await client.call(path, [])
      found.push(...complaints(`${path}: no message`, none))
      const many = Array.from({ length: 50 }, () => Buffer.alloc(0))
      found.push(...complaints(`${path}: many messages`, await client.call(path, many)))
      const large = await client.call(path, [Buffer.alloc(9 * 1024 * 1024)])
      found.push(...complaints(`${path}: 9 MiB`, large, 'RESOURCE_EXHAUSTED'))
    }
    for (const path of ['/', '/a', '/a/b', '/google.bytestream.ByteStream/read', '//', '/a/b/c']) {
      const outcome = await client.call(path, [Buffer.alloc(1)])
      found.push(...complaints(path, outcome, 'UNIMPLEMENTED'))
    }
    assert.deepEqual(found, [])
    await isUnharmed()
  })

  test('at random is answered clearly by every method, and nothing grows', async () => {
    const round = (seed: number, numRuns: number) =>
      Promise.all(
        ending.map(({ path }) =>
          fc.assert(
            fc.asyncProperty(
              fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 }),
              async (messages) => {
                const outcome = await client.call(
                  path,
                  messages.map((bytes) => Buffer.from(bytes)),
                )
                assert.deepEqual(complaints(path, outcome), [])
              },
            ),
            { seed, numRuns },
          ),
        ),
      )
    await round(1, 30)
    const [rss, files] = [await rssBytes(larder.pid), await openFiles(larder.pid)]
    await round(2, 150)
    await isUnharmed()
    const grown = (await rssBytes(larder.pid)) - rss
    assert.ok(grown < growthBytesMax, `${grown} bytes more after ${ending.length * 150} calls`)
    while ((await openFiles(larder.pid)) > files) await metric(larder, 'larder_cas_blobs')
  })

  test('in the shape of calls that are given up leaves nothing behind', async () => {
    const uri = origin.serve('/stalled', stallBeforeHeaders())
    const files = await openFiles(larder.pid)
    const writes = await metric(larder, handled, { grpc_method: 'Write' })
    const fetching = encoded(FetchBlob, { uris: [uri], timeout: { seconds: 60 } })
    const half = encoded(Write, { resourceName: upToWrite, data: Buffer.from('ha') })
    const hash = 'cd'.repeat(32)
    const large = encoded(Write, {
      resourceName: `uploads/1/blobs/${hash}/9000000`,
      data: Buffer.alloc(1_000_000),
    })
    {
      using stack = new DisposableStack()
      const givers = Array.from({ length: 5 }, () => stack.use(new RawRpcClient(larder.grpcUrl)))
      const misses = await metric(larder, lookups, { result: 'miss' })
      const calls = givers.flatMap((giver) =>
        Array.from({ length: 200 }, (_, index) => {
          const fetch = giver.begin(FetchBlob.path, [fetching])
          // The call begins on the server when its one message is known to be the only one.
          fetch.call.end()
          const write = giver.begin(Write.path, index % 50 === 0 ? [large] : [half])
          return [fetch, write]
        }),
      )
      await metricReaches(larder, lookups, { result: 'miss' }, misses + calls.length)
      for (const { call } of calls.flat()) call.cancel()
      for (const { outcome } of calls.flat()) assert.equal((await outcome).code, 'CANCELLED')
      // And with the connection under it.
      for (const giver of givers) giver.begin(Write.path, [large])
    }
    const cancelled = { grpc_method: 'FetchBlob', grpc_code: 'CANCELLED' }
    await metricReaches(larder, handled, cancelled, 1000)
    await metricReaches(larder, handled, { grpc_method: 'Write' }, writes + 1000)
    await isUnharmed()
    assert.equal(origin.count('/stalled'), 1)
    await origin[Symbol.asyncDispose]()
    while ((await openFiles(larder.pid)) > files) await metric(larder, 'larder_cas_blobs')
  })

  test('below gRPC is refused, and others are served meanwhile', async () => {
    const { path } = cas.FindMissingBlobs
    const session = await openHttp2(larder.grpcUrl)
    const grpcHeaders = { ':path': path, 'content-type': 'application/grpc', te: 'trailers' }
    const frame = (bytes: Uint8Array, flag = 0, sizeBytes = bytes.byteLength) => {
      const head = Buffer.from([flag, 0, 0, 0, 0])
      head.writeUInt32BE(sizeBytes, 1)
      return Buffer.concat([head, bytes])
    }
    for (const type of ['text/plain', 'application/json', '']) {
      const answer = await http2Request(
        session,
        { ...grpcHeaders, 'content-type': type },
        frame(content),
      )
      assert.equal(answer[':status'], 415, type)
    }
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const cases: [name: string, headers: object, body: Buffer, code: RegExp][] = [
      ['a message cut short', {}, frame(content, 0, 100), /^/],
      ['a head cut short', {}, Buffer.from([0, 0]), /^/],
      ['a message of 4 GiB', {}, frame(content, 0, 0xffffffff), /^8$/],
      ['an encoding not known', { 'grpc-encoding': 'bogus' }, frame(content, 1), /^12$/],
      ['compression without an encoding', {}, frame(content, 1), /^(13|12|3)$/],
      ['a bomb', { 'grpc-encoding': 'gzip' }, frame(bomb, 1), /^8$/],
      ['gzip that is none', { 'grpc-encoding': 'gzip' }, frame(content, 1), /^(13|3)$/],
      ['a timeout that is none', { 'grpc-timeout': 'soon' }, frame(Buffer.alloc(0)), /^/],
      ['a binary header that is none', { 'x-a-bin': '!!!' }, frame(Buffer.alloc(0)), /^/],
    ]
    for (const [name, headers, body, code] of cases) {
      const answer = await http2Request(session, { ...grpcHeaders, ...headers }, body)
      assert.match(String(answer['grpc-status'] ?? ''), code, `${name}: ${JSON.stringify(answer)}`)
      assert.doesNotMatch(String(answer['grpc-message'] ?? ''), insideWords, name)
    }
    session.destroy()
    await isUnharmed()
  })

  test('on bare connections is cut off, and 200 of them keep nobody else out', async () => {
    const files = await openFiles(larder.pid)
    const { hostname, port } = new URL(larder.grpcUrl)
    const open = async () => {
      const socket = connectTcp(Number(port), hostname)
      socket.on('error', () => {})
      await once(socket, 'connect')
      return socket
    }
    const requests = [
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      '\u0016\u0003\u0001\u0002',
      'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n',
    ]
    for (const request of requests) {
      const socket = await open()
      const closed = once(socket, 'close')
      socket.resume()
      socket.write(request, 'latin1')
      socket.write('x'.repeat(100))
      await closed
    }
    const sockets = await Promise.all(Array.from({ length: 200 }, open))
    for (const [index, socket] of sockets.entries()) {
      if (index % 3 === 0) socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
      if (index % 3 === 1) socket.write('GET / HT')
    }
    await isUnharmed()
    for (const socket of sockets) socket.destroy()
    while ((await openFiles(larder.pid)) > files) await metric(larder, 'larder_cas_blobs')
  })
})
