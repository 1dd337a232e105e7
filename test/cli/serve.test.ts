import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startLarder } from '../fixtures/larder-server.ts'
import { runLarder } from './run-larder.ts'

test('serves, tells where, and ends in order at SIGTERM', async () => {
  await using server = await startLarder()
  assert.equal((await fetch(`${server.httpUrl}/readyz`)).status, 200)
  assert.match(await (await fetch(`${server.httpUrl}/metrics`)).text(), /larder_build_info/)
  const { grpcUrl } = server
  const asked = await runLarder(['cat', `${'0'.repeat(64)}/5`, '--server', grpcUrl])
  assert.match(asked.stderr, /^larder: NOT_FOUND: /)
  assert.equal(await server.stop(), 0)
  assert.match(server.log(), /"message":"closed"/)
})

test('a port in use is one sentence that names address and key', async (t) => {
  await using server = await startLarder()
  const data = await mkdtemp(join(tmpdir(), 'larder-serve-'))
  t.after(() => rm(data, { recursive: true }))
  const grpc = new URL(server.grpcUrl).host
  const http = new URL(server.httpUrl).host
  const cases: readonly [args: string[], address: string, key: string][] = [
    [['--grpc-listen', grpc, '--http-listen', 'none'], grpc, 'grpc.listen'],
    [['--grpc-listen', '127.0.0.1:0', '--http-listen', http], http, 'http.listen'],
  ]
  for (const [args, address, key] of cases) {
    const { code, stderr } = await runLarder(['serve', '--data', data, ...args])
    assert.match(stderr, /^larder: .* is in use already: choose another with .*\n$/)
    assert.ok(stderr.includes(address) && stderr.includes(`(${key})`), stderr)
    assert.equal(code, 1)
  }
})

test('a data directory that cannot be is one sentence that names it and the key', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-serve-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = join(directory, 'file')
  await writeFile(file, '')
  // Whoever is root may write anywhere, but nobody below /proc.
  for (const data of [file, join(file, 'below'), '/proc/larder/data']) {
    const { code, stderr } = await runLarder(['serve', '--data', data, '--http-listen', 'none'])
    assert.match(stderr, /^larder: The data directory .* cannot be used: .* --data \(data\)\.\n$/)
    assert.equal(code, 1)
  }
})
