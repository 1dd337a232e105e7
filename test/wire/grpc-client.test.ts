import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../src/wire/grpc-client.ts'
import { createGrpcServer } from '../../src/wire/grpc-server.ts'
import { bindService, byteStreamService, capabilitiesService } from '../../src/wire/methods.ts'
import { testCertificate } from '../fixtures/certificates.ts'
import { startServer } from './server-fixture.ts'

const { GetCapabilities } = capabilitiesService.methods
const echo = bindService(capabilitiesService, {
  GetCapabilities: async (_request, call) => ({
    lowApiVersion: { prerelease: call.metadata('x-a') ?? '' },
  }),
})

describe('client', () => {
  test('an address of another kind is refused by name', () => {
    assert.throws(() => connect('http://127.0.0.1:1'), {
      code: 'INVALID_ARGUMENT',
      message: /http:\/\//,
    })
  })

  test('nobody listening is UNAVAILABLE', async () => {
    using client = connect('grpc://127.0.0.1:1')
    await assert.rejects(client.unary(GetCapabilities, {}), { code: 'UNAVAILABLE' })
  })

  test('metadata of the connection and of the call are sent, the latter winning', async () => {
    await using server = await startServer([echo])
    using client = connect(server.address, { metadata: { 'x-a': 'connection' } })
    const version = async (metadata: Record<string, string>) =>
      (await client.unary(GetCapabilities, {}, { metadata })).lowApiVersion?.prerelease
    assert.equal(await version({}), 'connection')
    assert.equal(await version({ 'x-a': 'call' }), 'call')
  })

  test('grpcs trusts the authority it is given, and no other', async () => {
    const { cert, key, ca } = await testCertificate('valid')
    await using server = createGrpcServer({
      services: [echo],
      tls: { cert: Buffer.from(cert), key: Buffer.from(key) },
    })
    const { port } = await server.listen('127.0.0.1:0')
    using client = connect(`grpcs://localhost:${port}`, { rootCertificates: Buffer.from(ca) })
    await client.unary(GetCapabilities, {})
    using stranger = connect(`grpcs://localhost:${port}`)
    await assert.rejects(stranger.unary(GetCapabilities, {}), { code: 'UNAVAILABLE' })
  })

  test('a signal that has fired already makes no call', async () => {
    await using server = await startServer([echo])
    const signal = AbortSignal.abort(new Error('too late'))
    await assert.rejects(server.client.unary(GetCapabilities, {}, { signal }), /too late/)
  })

  test('an error of the source of requests ends the call with that error', async () => {
    await using server = await startServer([
      bindService(byteStreamService, {
        async *Read() {},
        async Write(requests) {
          for await (const _ of requests);
          return {}
        },
        QueryWriteStatus: async () => ({}),
      }),
    ])
    async function* broken() {
      yield { data: Buffer.alloc(1) }
      throw new Error('disk gone')
    }
    const { Write } = byteStreamService.methods
    await assert.rejects(server.client.clientStream(Write, broken()), /disk gone/)
  })

  test('handlers that do not fit are refused by the compiler', () => {
    // @ts-expect-error the response has no such field
    bindService(capabilitiesService, { GetCapabilities: async () => ({ lowApiVersion: 2 }) })
    // @ts-expect-error two methods are missing
    bindService(byteStreamService, { async *Read() {} })
  })
})
