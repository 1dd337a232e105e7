import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import {
  Client,
  type ClientDuplexStream,
  credentials,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { createReflection } from '../../src/wire/reflection.ts'
import { frame, openSession, rawCall, startServer } from './server-fixture.ts'

const names = ['build.bazel.remote.asset.v1.Fetch', 'google.bytestream.ByteStream']
const reflectionDir = dirname(
  createRequire(import.meta.url).resolve('@grpc/reflection/package.json'),
)

interface Answer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] }
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] }
  readonly errorResponse?: { readonly errorCode: number }
}

/** Asks one question after the other in one stream, as grpcurl does. */
async function ask(address: string, version: string, questions: object[]): Promise<Answer[]> {
  const file = join(reflectionDir, `build/proto/grpc/reflection/${version}/reflection.proto`)
  const definition = loadSync(file)[`grpc.reflection.${version}.ServerReflection`]
  const method = (definition as ServiceDefinition).ServerReflectionInfo
  assert.ok(method)
  const client = new Client(address, credentials.createInsecure())
  const call: ClientDuplexStream<object, Answer> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
  )
  for (const question of questions) call.write(question)
  call.end()
  const answers: Answer[] = []
  for await (const answer of call) answers.push(answer as Answer)
  client.close()
  return answers
}

describe('reflection', () => {
  for (const version of ['v1', 'v1alpha']) {
    test(`${version} lists the services that are served and describes them`, async () => {
      await using server = await startServer([], {}, [createReflection(names)])
      const [list, symbol, unknown] = await ask(server.address, version, [
        { listServices: '*' },
        { fileContainingSymbol: 'build.bazel.remote.asset.v1.Fetch' },
        { fileContainingSymbol: 'no.such.Thing' },
      ])
      assert.deepEqual(list?.listServicesResponse?.service.map(({ name }) => name).sort(), names)
      const files = symbol?.fileDescriptorResponse?.fileDescriptorProto ?? []
      assert.ok(files.some((file) => file.includes('oldest_content_accepted')))
      assert.ok(files.some((file) => file.includes('DigestFunction')))
      assert.equal(unknown?.errorResponse?.errorCode, status.NOT_FOUND)
    })
  }

  test('garbage is INVALID_ARGUMENT and the server lives on', async () => {
    await using server = await startServer([], {}, [createReflection(names)])
    const session = await openSession(server.address)
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo'
    const answer = await rawCall(session, path, frame(Buffer.from('3affffff', 'hex')))
    assert.equal(answer.status, status.INVALID_ARGUMENT)
    session.destroy()
    assert.equal((await ask(server.address, 'v1', [{ listServices: '' }])).length, 1)
  })
})
