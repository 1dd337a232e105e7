import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { credentials, loadPackageDefinition, type Metadata, status } from '@grpc/grpc-js'
import { AssetError } from '../../src/asset/errors.ts'
import { build } from '../../src/gen/reapi.js'
import { connect } from '../../src/wire/grpc-client.ts'
import { createGrpcServer, receivedMessageBytesMax } from '../../src/wire/grpc-server.ts'
import type { CallContext } from '../../src/wire/handlers.ts'
import {
  type BoundService,
  bindService,
  byteStreamService,
  capabilitiesService,
  fetchService,
  type HandlersOf,
} from '../../src/wire/methods.ts'
import { requestMetadata } from '../../src/wire/request-metadata.ts'
import { frame, openSession, rawCall, startServer } from './server-fixture.ts'

const { Read, Write, QueryWriteStatus } = byteStreamService.methods
const { GetCapabilities } = capabilitiesService.methods

type ByteStream = HandlersOf<typeof byteStreamService>

function byteStream(handlers: Partial<ByteStream>): BoundService {
  return bindService(byteStreamService, {
    async *Read() {},
    async Write() {
      return {}
    },
    async QueryWriteStatus() {
      return {}
    },
    ...handlers,
  })
}

function capabilities(
  handler: HandlersOf<typeof capabilitiesService>['GetCapabilities'],
): BoundService {
  return bindService(capabilitiesService, { GetCapabilities: handler })
}

describe('unary calls', () => {
  test('request and response pass, defaults are filled in', async () => {
    await using server = await startServer([
      capabilities(async (request) => ({ lowApiVersion: { prerelease: request.instanceName } })),
    ])
    const answer = await server.client.unary(GetCapabilities, { instanceName: 'a/b' })
    assert.equal(answer.lowApiVersion?.prerelease, 'a/b')
    assert.equal(answer.cacheCapabilities, null)
  })

  test('an AssetError arrives as itself, with odd characters in its message', async () => {
    const message = 'no “ü” \n 100% \ud800 \u{1f600}'
    await using server = await startServer([
      capabilities(async () => {
        throw new AssetError('CHECKSUM_MISMATCH', message, { uri: 'https://h/x' })
      }),
    ])
    await assert.rejects(server.client.unary(GetCapabilities, {}), {
      code: 'CHECKSUM_MISMATCH',
      message: message.toWellFormed(),
      uri: 'https://h/x',
    })
  })

  test('an error that nobody foresaw is INTERNAL, goes to the log and tells the client nothing', async () => {
    const logged: unknown[] = []
    const failure = new TypeError('secret at line 7')
    const handlers = [
      async () => {
        throw failure
      },
      () => {
        throw failure
      },
    ]
    for (const handler of handlers) {
      await using server = await startServer([capabilities(handler as never)], {
        onUnexpectedError: (_call, error) => logged.push(error),
      })
      await assert.rejects(server.client.unary(GetCapabilities, {}), (error: AssetError) => {
        assert.equal(error.code, 'INTERNAL')
        assert.doesNotMatch(error.message, /secret|\bat /)
        return true
      })
    }
    assert.deepEqual(logged, [failure, failure])
  })

  test('a response that cannot be encoded is INTERNAL and logged', async () => {
    const logged: unknown[] = []
    await using server = await startServer(
      [byteStream({ QueryWriteStatus: async () => ({ committedSize: Number.NaN }) })],
      { onUnexpectedError: (_call, error) => logged.push(error) },
    )
    await assert.rejects(server.client.unary(QueryWriteStatus, {}), { code: 'INTERNAL' })
    assert.equal(logged.length, 1)
  })

  test('hooks see path, code, peer and who calls', async () => {
    const seen: unknown[] = []
    await using server = await startServer([capabilities(async () => ({}))], {
      onCall: (call, code, durationMs) =>
        seen.push([call.path, code, requestMetadata(call).tool, durationMs >= 0, call.peer]),
    })
    const bytes = build.bazel.remote.execution.v2.RequestMetadata.encode({
      toolDetails: { toolName: 'bazel' },
    }).finish()
    const key = 'build.bazel.remote.execution.v2.requestmetadata-bin'
    const metadata = { [key]: Buffer.from(bytes).toString('base64') }
    await server.client.unary(GetCapabilities, {}, { metadata })
    const [path, code, tool, isTimed, peer] = seen[0] as unknown[]
    assert.deepEqual([path, code, tool, isTimed], [GetCapabilities.path, 0, 'bazel', true])
    assert.match(String(peer), /^127\.0\.0\.1:\d+$/)
  })

  test('a metadata key that came twice has its first value', async () => {
    const values: (string | undefined)[] = []
    await using server = await startServer([
      capabilities(async (_request, call) => {
        values.push(call.metadata('x-a'), call.metadata('authorization'), call.metadata('x-list'))
        return {}
      }),
    ])
    const session = await openSession(server.address)
    await rawCall(session, GetCapabilities.path, frame(Buffer.alloc(0)), {
      'x-a': ['hdr', 'hdr'],
      authorization: 'Bearer t',
      'x-list': 'a, b',
    })
    session.destroy()
    assert.deepEqual(values, ['hdr', 'Bearer t', 'a, b'])
  })

  test('a call that is cancelled fires the signal; one that is answered does not', async () => {
    const started = Promise.withResolvers<CallContext>()
    const reason = Promise.withResolvers<unknown>()
    let answered: AbortSignal | undefined
    await using server = await startServer([
      capabilities(async (request, call) => {
        if (request.instanceName === 'answer') {
          answered = call.signal
          return {}
        }
        call.signal.addEventListener('abort', () => reason.resolve(call.signal.reason))
        started.resolve(call)
        return new Promise(() => {})
      }),
    ])
    await server.client.unary(GetCapabilities, { instanceName: 'answer' })
    const controller = new AbortController()
    const call = server.client.unary(GetCapabilities, {}, { signal: controller.signal })
    await started.promise
    controller.abort()
    await assert.rejects(call, { code: 'CANCELLED' })
    assert.equal(((await reason.promise) as AssetError).code, 'CANCELLED')
    assert.equal(answered?.aborted, false)
  })

  test('a deadline that passes fires the signal with DEADLINE_EXCEEDED', async () => {
    const reason = Promise.withResolvers<unknown>()
    const codes = Promise.withResolvers<number>()
    await using server = await startServer(
      [
        capabilities(async (_request, call) => {
          await new Promise<void>((resolve) =>
            call.signal.addEventListener('abort', () => resolve()),
          )
          reason.resolve(call.signal.reason)
          return {}
        }),
      ],
      { onCall: (_call, code) => codes.resolve(code) },
    )
    const call = server.client.unary(GetCapabilities, {}, { timeoutMs: 50 })
    await assert.rejects(call, { code: 'DEADLINE_EXCEEDED' })
    assert.equal(((await reason.promise) as AssetError).code, 'DEADLINE_EXCEEDED')
    assert.equal(await codes.promise, status.DEADLINE_EXCEEDED)
  })

  test('BadRequest details reach a client that knows nothing of this project', async () => {
    await using server = await startServer([
      bindService(fetchService, {
        async FetchBlob() {
          throw new AssetError('INVALID_ARGUMENT', 'no', {
            violations: [{ field: 'qualifiers.name', description: '"x" not supported' }],
          })
        },
        async FetchDirectory() {
          return {}
        },
      }),
    ])
    const { loadSync } = await import('@grpc/proto-loader')
    const loaded = loadPackageDefinition(
      loadSync('build/bazel/remote/asset/v1/remote_asset.proto', { includeDirs: ['protos'] }),
    )
    // biome-ignore format: one path through untyped packages
    const { Fetch } = (loaded as never as { build: { bazel: { remote: { asset: { v1: Record<string, new (...args: unknown[]) => { FetchBlob: (request: object, done: (error: { code: number; metadata: Metadata }) => void) => void; close(): void }> } } } } }).build.bazel.remote.asset.v1
    assert.ok(Fetch)
    const raw = new Fetch(server.address, credentials.createInsecure())
    const error = await new Promise<{ code: number; metadata: Metadata }>((resolve) =>
      raw.FetchBlob({ uris: ['x:'] }, resolve),
    )
    raw.close()
    assert.equal(error.code, status.INVALID_ARGUMENT)
    const bytes = error.metadata.get('grpc-status-details-bin')[0]
    assert.ok(Buffer.isBuffer(bytes))
    assert.ok(bytes.includes('qualifiers.name') && bytes.includes('"x" not supported'))
  })
})

describe('hostile input', () => {
  test('garbage is INVALID_ARGUMENT, whatever the kind of method, and the server lives on', async () => {
    await using server = await startServer([
      capabilities(async () => ({})),
      byteStream({
        async Write(requests) {
          for await (const _ of requests);
          return {}
        },
      }),
    ])
    const session = await openSession(server.address)
    const garbage = frame(Buffer.from('0affffffff', 'hex'))
    for (const path of [GetCapabilities.path, Read.path, Write.path, QueryWriteStatus.path]) {
      const answer = await rawCall(session, path, garbage)
      assert.equal(answer.status, status.INVALID_ARGUMENT, path)
      assert.match(answer.message, /cannot be decoded/)
    }
    const tooLarge = frame(Buffer.from('10ffffffffffffffff7f', 'hex'))
    const answer = await rawCall(session, Read.path, tooLarge)
    assert.equal(answer.status, status.INVALID_ARGUMENT)
    assert.match(answer.message, /9223372036854775807|2\^53/)
    session.destroy()
    await server.client.unary(GetCapabilities, {})
  })

  test('a message beyond the limit is RESOURCE_EXHAUSTED', async () => {
    await using server = await startServer([capabilities(async () => ({}))])
    const instanceName = 'x'.repeat(receivedMessageBytesMax + 1)
    await assert.rejects(server.client.unary(GetCapabilities, { instanceName }), {
      code: 'RESOURCE_EXHAUSTED',
    })
    await server.client.unary(GetCapabilities, {
      instanceName: instanceName.slice(0, -64),
    })
  })

  test('an unknown method is UNIMPLEMENTED', async () => {
    await using server = await startServer([])
    await assert.rejects(server.client.unary(GetCapabilities, {}), { code: 'UNIMPLEMENTED' })
  })

  test('many pings are answered and bring no GOAWAY', async () => {
    await using server = await startServer([capabilities(async () => ({}))])
    const session = await openSession(server.address)
    let isToldToLeave = false
    session.on('goaway', () => {
      isToldToLeave = true
    })
    for (let i = 0; i < 500; i++) {
      await new Promise<void>((resolve, reject) =>
        session.ping((error) => (error === null ? resolve() : reject(error))),
      )
    }
    const answer = await rawCall(session, GetCapabilities.path, frame(Buffer.alloc(0)))
    assert.equal(answer.status, status.OK)
    assert.equal(isToldToLeave, false)
    session.destroy()
  })
})

describe('server streams', () => {
  const chunk = Buffer.alloc(256 * 1024, 7)

  test('all messages arrive in order, and an error after some of them', async () => {
    await using server = await startServer([
      byteStream({
        async *Read(request) {
          for (let i = 0; i < 5; i++) yield { data: Buffer.from([i]) }
          if (request.readLimit > 0) throw new AssetError('OUT_OF_RANGE', 'too far')
        },
      }),
    ])
    const read = async (readLimit: number, seen: number[]): Promise<void> => {
      for await (const { data } of server.client.serverStream(Read, { readLimit })) {
        seen.push(data[0] ?? -1)
      }
    }
    const whole: number[] = []
    await read(0, whole)
    assert.deepEqual(whole, [0, 1, 2, 3, 4])
    const broken: number[] = []
    await assert.rejects(read(1, broken), { code: 'OUT_OF_RANGE', message: 'too far' })
    assert.deepEqual(broken, [0, 1, 2, 3, 4])
  })

  test('a handler may reuse one buffer for all messages', async () => {
    await using server = await startServer([
      byteStream({
        async *Read() {
          const buffer = Buffer.alloc(100_000)
          for (let i = 0; i < 40; i++) yield { data: buffer.fill(i) }
        },
      }),
    ])
    let next = 0
    for await (const { data } of server.client.serverStream(Read, {})) {
      assert.deepEqual([data[0], data.at(-1)], [next, next])
      next++
    }
    assert.equal(next, 40)
  })

  test('a client that does not read stops the source; leaving ends it', async () => {
    let yielded = 0
    const ended = Promise.withResolvers<void>()
    await using server = await startServer([
      byteStream({
        async *Read() {
          try {
            for (; yielded < 4000; yielded++) yield { data: chunk }
          } finally {
            ended.resolve()
          }
        },
      }),
    ])
    const stream = server.client.serverStream(Read, {})
    await stream.next()
    // Another call goes all the way through while the first stream is stuck.
    for (let i = 0; i < 50; i++) await server.client.unary(QueryWriteStatus, {})
    assert.ok(yielded < 400, `${yielded} messages were taken from the source`)
    await stream.return()
    await ended.promise
    assert.ok(yielded < 400)
  })

  test('a deadline ends a stream that is stuck', async () => {
    const codes = Promise.withResolvers<number>()
    await using server = await startServer(
      [
        byteStream({
          async *Read() {
            for (;;) yield { data: chunk }
          },
        }),
      ],
      { onCall: (_call, code) => codes.resolve(code) },
    )
    const stream = server.client.serverStream(Read, {}, { timeoutMs: 100 })
    await stream.next()
    assert.equal(await codes.promise, status.DEADLINE_EXCEEDED)
    await assert.rejects(
      async () => {
        for await (const _ of stream);
      },
      { code: 'DEADLINE_EXCEEDED' },
    )
  })
})

describe('client streams', () => {
  async function* chunks(count: number, sizeBytes: number) {
    for (let i = 0; i < count; i++) yield { data: Buffer.alloc(sizeBytes, i) }
  }

  test('all messages arrive, in order', async () => {
    await using server = await startServer([
      byteStream({
        async Write(requests) {
          let next = 0
          for await (const { data } of requests) {
            assert.equal(data[0], next % 256)
            next++
          }
          return { committedSize: next }
        },
      }),
    ])
    const answer = await server.client.clientStream(Write, chunks(300, 1000))
    assert.equal(answer.committedSize, 300)
  })

  for (const [name, take] of [
    ['before reading anything', 0],
    ['after two messages', 2],
  ] as const) {
    test(`an answer ${name} is no error for a client that keeps sending`, async () => {
      await using server = await startServer([
        byteStream({
          async Write(requests) {
            let left = take
            if (left > 0) for await (const _ of requests) if (--left === 0) break
            return { committedSize: 4711 }
          },
        }),
      ])
      const answer = await server.client.clientStream(Write, chunks(2000, 64 * 1024))
      assert.equal(answer.committedSize, 4711)
      const again = await server.client.clientStream(Write, chunks(3, 1))
      assert.equal(again.committedSize, 4711)
    })
  }

  test('after an early answer, what a stubborn client still sends is read and dropped', async () => {
    await using server = await startServer([byteStream({ Write: async () => ({}) })])
    const session = await openSession(server.address)
    const body = Buffer.concat(Array.from({ length: 64 }, () => frame(Buffer.alloc(256 * 1024))))
    const answer = await rawCall(session, Write.path, body)
    assert.equal(answer.status, status.OK)
    session.destroy()
  })

  test('an early error reaches the client that keeps sending', async () => {
    await using server = await startServer([
      byteStream({
        async Write() {
          throw new AssetError('INVALID_ARGUMENT', 'bad name')
        },
      }),
    ])
    await assert.rejects(server.client.clientStream(Write, chunks(2000, 64 * 1024)), {
      code: 'INVALID_ARGUMENT',
      message: 'bad name',
    })
  })

  test('a handler that does not read stops the client', async () => {
    let sent = 0
    const go = Promise.withResolvers<void>()
    await using server = await startServer([
      byteStream({
        async Write(requests) {
          await go.promise
          let sizeBytes = 0
          for await (const { data } of requests) sizeBytes += data.length
          return { committedSize: sizeBytes }
        },
      }),
    ])
    async function* counted() {
      for (; sent < 1000; sent++) yield { data: Buffer.alloc(256 * 1024) }
    }
    const answer = server.client.clientStream(Write, counted())
    for (let i = 0; i < 50; i++) await server.client.unary(QueryWriteStatus, {})
    assert.ok(sent < 200, `${sent} messages were taken from the client`)
    go.resolve()
    assert.equal((await answer).committedSize, 1000 * 256 * 1024)
  })

  test('a client that goes away breaks the loop of the handler with CANCELLED', async () => {
    const outcome = Promise.withResolvers<unknown>()
    const started = Promise.withResolvers<void>()
    await using server = await startServer([
      byteStream({
        async Write(requests) {
          try {
            for await (const _ of requests) started.resolve()
            outcome.resolve('ended')
          } catch (error) {
            outcome.resolve(error)
          }
          return {}
        },
      }),
    ])
    const controller = new AbortController()
    async function* endless() {
      yield { data: Buffer.alloc(10) }
      await new Promise(() => {})
    }
    const call = server.client.clientStream(Write, endless(), { signal: controller.signal })
    await started.promise
    controller.abort()
    await assert.rejects(call, { code: 'CANCELLED' })
    assert.equal(((await outcome.promise) as AssetError).code, 'CANCELLED')
  })
})

describe('life of the server', () => {
  test('lets clients send ahead, and call in numbers, on every connection', async () => {
    await using server = await startServer([])
    const session = await openSession(server.address)
    const [{ initialWindowSize, maxConcurrentStreams }] = await once(session, 'remoteSettings')
    assert.equal(initialWindowSize, 1024 * 1024)
    assert.equal(maxConcurrentStreams, 1000)
    // The answer to a ping comes after what the server has sent at the start.
    await new Promise((resolve) => session.ping(resolve))
    assert.equal(session.state.remoteWindowSize, 2 * 1024 * 1024)
    session.destroy()
  })

  test('listens on a unix socket, also where a killed server left one', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'larder-wire-'))
    const path = join(directory, 's')
    const code = `require('node:net').createServer().listen('${path}', () => console.log('up'))`
    const killed = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(killed.stdout, 'data')
    killed.kill('SIGKILL')
    await once(killed, 'exit')
    assert.ok(existsSync(path))
    const server = createGrpcServer({ services: [capabilities(async () => ({}))] })
    assert.deepEqual(await server.listen(`unix:${path}`), { address: `unix:${path}`, port: 0 })
    using client = connect(`unix:${path}`)
    await client.unary(GetCapabilities, {})
    const second = createGrpcServer({ services: [] })
    await assert.rejects(second.listen(`unix:${path}`), /cannot listen on unix:/)
    await server.shutdown(0)
    await rm(directory, { recursive: true })
  })

  test('says which address is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    const server = createGrpcServer({ services: [] })
    await assert.rejects(server.listen(`127.0.0.1:${port}`), new RegExp(`127.0.0.1:${port}`))
    other.close()
  })

  test('a shutdown lets running calls end', async () => {
    const started = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const service = capabilities(async () => {
      started.resolve()
      await go.promise
      return { lowApiVersion: { major: 2 } }
    })
    const server = createGrpcServer({ services: [service] })
    const { address } = await server.listen('127.0.0.1:0')
    using client = connect(address)
    const answer = client.unary(GetCapabilities, {})
    await started.promise
    const stopped = server.shutdown(60_000)
    go.resolve()
    assert.equal((await answer).lowApiVersion?.major, 2)
    client.close()
    await stopped
  })

  test('a shutdown without grace cuts calls off', async () => {
    const started = Promise.withResolvers<void>()
    const service = capabilities(() => {
      started.resolve()
      return new Promise(() => {})
    })
    const server = createGrpcServer({ services: [service] })
    const { address } = await server.listen('127.0.0.1:0')
    using client = connect(address)
    const answer = assert.rejects(client.unary(GetCapabilities, {}))
    await started.promise
    await server.shutdown(0)
    await answer
  })
})
