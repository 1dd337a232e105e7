import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { AssetError } from '../../src/asset/errors.ts'
import { Secret } from '../../src/asset/secret.ts'
import { createLog, type Log, type LogOptions } from '../../src/telemetry/log.ts'

const sentinel = 'hunter2-sentinel'

function logInto(options: Partial<LogOptions> = {}): { log: Log; text: () => string } {
  const chunks: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk))
      done()
    },
  })
  const log = createLog({ level: 'info', format: 'json', destination, ...options })
  return { log, text: () => chunks.join('') }
}

describe('lines', () => {
  test('are JSON with level, time, message and fields', () => {
    const { log, text } = logInto()
    log.child({ room: 'cas' }).info('stored', { blobs: 3 })
    const line = JSON.parse(text())
    assert.equal(line.level, 'info')
    assert.equal(line.message, 'stored')
    assert.equal(line.room, 'cas')
    assert.equal(line.blobs, 3)
    assert.ok(!Number.isNaN(Date.parse(line.time)))
  })
  test('below the level are not written', () => {
    const { log, text } = logInto({ level: 'warn' })
    log.info('quiet')
    log.warn('loud')
    assert.equal(text().trim().split('\n').length, 1)
    assert.match(text(), /loud/)
  })
  test('are for people with format pretty', () => {
    const { log, text } = logInto({ format: 'pretty' })
    log.info('listening', { address: '127.0.0.1:1' })
    assert.match(text(), /INFO.*listening.*127\.0\.0\.1:1/)
    assert.doesNotMatch(text(), /"message"/)
  })
})

describe('errors', () => {
  const error = new AssetError('UPSTREAM_UNAVAILABLE', 'no answer', {
    cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
  })
  test('show code, message and causes, without a stack', () => {
    const { log, text } = logInto()
    log.error('failed', { error })
    assert.deepEqual(JSON.parse(text()).error, {
      code: 'UPSTREAM_UNAVAILABLE',
      message: 'no answer',
      causes: ['ECONNREFUSED: refused'],
    })
  })
  test('show the stack at level debug', () => {
    const { log, text } = logInto({ level: 'debug' })
    log.error('failed', { error })
    assert.match(JSON.parse(text()).error.stack, /log\.test\.ts/)
  })
})

describe('secrets never show', () => {
  const cases: readonly [name: string, fields: Record<string, unknown>][] = [
    ['a Secret', { value: new Secret(sentinel) }],
    ['a Secret deep inside', { a: [{ b: new Map([['c', new Secret(sentinel)]]) }] }],
    ['a header by its name', { headers: { Authorization: `Bearer ${sentinel}` } }],
    ['a header in a map', { headers: new Map([['cookie', sentinel]]) }],
    ['a header qualifier', { qualifiers: { 'http_header:X-Key': sentinel } }],
    ['userinfo in a string', { uri: `https://user:${sentinel}@host/path` }],
    ['userinfo with an @ in it', { uri: `see https://user:a@${sentinel}@host/path` }],
    ['userinfo in a URL', { uri: new URL(`https://${sentinel}@host/`) }],
    ['userinfo in an error', { error: new Error(`GET https://u:${sentinel}@host/ failed`) }],
    ['userinfo in a cause', { error: new Error('x', { cause: `ssh://${sentinel}@host/` }) }],
  ]
  for (const [name, fields] of cases) {
    for (const format of ['json', 'pretty'] as const) {
      test(`${name} (${format})`, () => {
        const { log, text } = logInto({ level: 'debug', format })
        log.info(`asking https://u:${sentinel}@host/`, fields)
        log.child(fields).info('again')
        assert.match(text(), /again/)
        assert.ok(!text().includes(sentinel), text())
      })
    }
  }
  test('hosts and paths do', () => {
    const { log, text } = logInto()
    log.info('asking', { uri: 'https://u:p@host/path', mail: 'a@b.example' })
    assert.equal(JSON.parse(text()).uri, 'https://host/path')
    assert.equal(JSON.parse(text()).mail, 'a@b.example')
  })
})
