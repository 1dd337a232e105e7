import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type AdminServerOptions, createAdminServer } from '../../src/admin/http-server.ts'
import { createLog, silentLog } from '../../src/telemetry/log.ts'

async function start(t: TestContext, changes: Partial<AdminServerOptions> = {}) {
  const server = createAdminServer({
    log: silentLog,
    checks: { index: async () => undefined, cas: async () => undefined },
    isStarted: () => true,
    isDraining: () => false,
    status: () => ({
      version: '1.2.3',
      uptimeSeconds: 1,
      mode: 'online',
      grpcAddress: '127.0.0.1:8981',
      httpAddress: undefined,
    }),
    metrics: { contentType: 'text/plain; version=0.0.4', text: async () => 'a_metric 1\n' },
    ...changes,
  })
  t.after(() => server.close())
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { server, address, url: `http://${address}` }
}

test('health of a server that is well', async (t) => {
  const { url } = await start(t)
  for (const path of ['/livez', '/-/healthy', '/readyz', '/healthz', '/startupz', '/status']) {
    assert.equal((await fetch(url + path)).status, 200, path)
  }
  assert.deepEqual(await (await fetch(`${url}/readyz?verbose`)).json(), {
    ready: true,
    checks: { started: 'ok', draining: 'ok', index: 'ok', cas: 'ok' },
  })
})

test('a failing check makes it unready, but alive', async (t) => {
  const cas = async () => 'the disk is full'
  const index = async () => {
    throw new Error('the database is closed')
  }
  const { url } = await start(t, { checks: { cas, index } })
  const response = await fetch(`${url}/readyz`)
  assert.equal(response.status, 503)
  const { checks } = (await response.json()) as { checks: Record<string, string> }
  assert.equal(checks.cas, 'the disk is full')
  assert.equal(checks.index, 'the database is closed')
  assert.equal((await fetch(`${url}/livez`)).status, 200)
})

test('draining and starting are not ready', async (t) => {
  let isDraining = false
  let isStarted = false
  const { url } = await start(t, { isDraining: () => isDraining, isStarted: () => isStarted })
  assert.equal((await fetch(`${url}/startupz`)).status, 503)
  assert.equal((await fetch(`${url}/healthz`)).status, 503)
  isStarted = true
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  isDraining = true
  assert.equal((await fetch(`${url}/healthz`)).status, 503)
})

test('metrics keep their content type', async (t) => {
  const { url } = await start(t)
  const response = await fetch(`${url}/metrics`)
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4')
  assert.equal(await response.text(), 'a_metric 1\n')
})

test('the front page has the lines for .bazelrc and escapes what it shows', async (t) => {
  const status = () => ({
    version: '<script>',
    uptimeSeconds: 1,
    mode: 'offline',
    grpcAddress: '127.0.0.1:8981',
    httpAddress: undefined,
  })
  const { url } = await start(t, { status })
  const page = await (await fetch(url)).text()
  assert.match(page, /build --experimental_remote_downloader=grpc:\/\/127\.0\.0\.1:8981\n/)
  assert.match(page, /build --remote_cache=grpc:\/\/127\.0\.0\.1:8981</)
  assert.doesNotMatch(page, /<script>/)
})

test('what is not there, and what cannot be done, is one sentence', async (t) => {
  const { url } = await start(t)
  for (const path of ['/nope', '/constructor', '/../status%00']) {
    const missing = await fetch(url + path)
    assert.equal(missing.status, 404, path)
    assert.match(await missing.text(), /^There is nothing here.*\n$/)
  }
  const refused = await fetch(`${url}/status`, { method: 'POST', body: 'x' })
  assert.equal(refused.status, 405)
  assert.equal(refused.headers.get('allow'), 'GET, HEAD')
  assert.match(await refused.text(), /^This page is read with GET.*\n$/)
})

test('HEAD has no body, large headers are refused', async (t) => {
  const { url } = await start(t)
  const head = await fetch(`${url}/status`, { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.equal(await head.text(), '')
  const large = await fetch(url, { headers: { 'x-large': 'x'.repeat(20_000) } })
  assert.equal(large.status, 431)
})

test('an endless body is not read', async (t) => {
  const { address } = await start(t)
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
  // The server closes while we send, which may show as a reset.
  socket.on('error', () => {})
  socket.write('POST /status HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\nxxx')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await new Promise((resolve) => socket.on('close', resolve))
  assert.match(text, /^HTTP\/1\.1 405 /)
})

test('a failure of a dependency is a 500 without its text', async (t) => {
  const lines: string[] = []
  const destination = { write: (line: string) => lines.push(line) }
  const log = createLog({ level: 'info', format: 'json', destination: destination as never })
  const status = () => {
    throw new Error('internal detail')
  }
  const { url } = await start(t, { status, log })
  const response = await fetch(`${url}/status`)
  assert.equal(response.status, 500)
  assert.doesNotMatch(await response.text(), /internal detail/)
  assert.match(lines.join(''), /internal detail/)
})

test('a port in use is an error of its own kind', async (t) => {
  const { server, address } = await start(t)
  const port = Number(address.split(':')[1])
  const { server: second } = await start(t)
  await second.close()
  await assert.rejects(second.listen({ kind: 'tcp', host: '127.0.0.1', port }), {
    code: 'EADDRINUSE',
  })
  await server.close()
})

test('listens on a unix socket', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'larder-admin-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'http.sock')
  const { server } = await start(t)
  await server.close()
  assert.equal(await server.listen({ kind: 'unix', path }), `unix:${path}`)
  const status = await new Promise((resolve, reject) => {
    get({ socketPath: path, path: '/livez', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
  assert.equal(status, 200)
})
