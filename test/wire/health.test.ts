import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { grpc } from '../../src/gen/reapi.js'
import { createHealth } from '../../src/wire/health.ts'
import { healthService } from '../../src/wire/methods.ts'
import { startServer } from './server-fixture.ts'

const { Check, List, Watch } = healthService.methods
const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = grpc.health.v1.HealthCheckResponse.ServingStatus
const names = ['google.bytestream.ByteStream', 'build.bazel.remote.asset.v1.Fetch']

describe('health', () => {
  test('Check knows the server, each service and the name that bazel-remote asks for', async () => {
    const health = createHealth(names)
    await using server = await startServer([health.service])
    for (const service of ['', ...names, '/grpc.health.v1.Health/Check']) {
      assert.equal((await server.client.unary(Check, { service })).status, SERVING)
    }
    await assert.rejects(server.client.unary(Check, { service: 'other' }), { code: 'NOT_FOUND' })
    health.setServing(false)
    assert.equal((await server.client.unary(Check, {})).status, NOT_SERVING)
  })

  test('List names every service', async () => {
    const health = createHealth(names)
    await using server = await startServer([health.service])
    const { statuses } = await server.client.unary(List, {})
    for (const name of ['', ...names]) assert.equal(statuses[name]?.status, SERVING)
  })

  test('Watch tells now and every change, and ends when health is closed', async () => {
    const health = createHealth(names)
    await using server = await startServer([health.service])
    const watch = server.client.serverStream(Watch, { service: names[0] ?? '' })
    assert.equal((await watch.next()).value?.status, SERVING)
    health.setServing(false)
    assert.equal((await watch.next()).value?.status, NOT_SERVING)
    health.setServing(true)
    assert.equal((await watch.next()).value?.status, SERVING)
    health.close()
    assert.equal((await watch.next()).value?.status, NOT_SERVING)
    assert.equal((await watch.next()).done, true)
  })

  test('Watch of an unknown name says SERVICE_UNKNOWN and stays open until the client leaves', async () => {
    const health = createHealth(names)
    const finished = Promise.withResolvers<void>()
    await using server = await startServer([health.service], {
      onCall: () => finished.resolve(),
    })
    const watch = server.client.serverStream(Watch, { service: 'other' })
    assert.equal((await watch.next()).value?.status, SERVICE_UNKNOWN)
    await watch.return()
    await finished.promise
  })
})
