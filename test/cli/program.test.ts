import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { packageVersion } from '../../src/cli/version.ts'
import { runLarder } from './run-larder.ts'

describe('the command line', () => {
  test('--version and --help succeed', async () => {
    const version = await runLarder(['--version'])
    assert.equal(version.code, 0)
    assert.equal(version.stdout.toString(), `${packageVersion()}\n`)
    const help = await runLarder(['--help'])
    assert.equal(help.code, 0)
    assert.match(help.stdout.toString(), /Examples:[\s\S]*larder fetch https/)
  })

  const wrong: readonly [args: string[], sentence: RegExp][] = [
    [['--nope'], /^larder: unknown option '--nope'; see "larder --help"\.\n$/],
    [['fetch', '--nope', 'https://a/'], /^larder: unknown option '--nope'; see .*\n$/],
    [['fetch'], /^larder: missing required argument 'uri'; see .*\n$/],
    [['dance'], /^larder: unknown command 'dance'; see .*\n$/],
    [['cat', 'e3b0'], /^larder: e3b0 needs its size, .*\n$/],
    [['cat', 'e3b0/0'], /^larder: INVALID_ARGUMENT: digest\.hash: expected 64 .*\n$/],
    [['fetch', 'https://a/', '--timeout', '5'], /^larder: --timeout 5: expected a duration .*\n$/],
    [
      ['fetch', 'https://a/', '--qualifier', 'secret'],
      /^larder: --qualifier is written name=.*\n$/,
    ],
    [
      ['fetch', 'https://a/', '--server', 'unix:/nowhere/larder.sock'],
      /^larder: No server answers at unix:.*: start one with "larder serve", .*\n$/,
    ],
    [
      ['cat', `${'0'.repeat(64)}/5`, '--server', 'grpc://127.0.0.1:1'],
      /^larder: No server answers at grpc:\/\/127\.0\.0\.1:1: start one .*\n$/,
    ],
    [
      ['serve', '--config', '/nope.yaml'],
      /^larder: The configuration \/nope\.yaml cannot be .*\n$/,
    ],
    [['serve', 'extra'], /^larder: too many arguments .* 1: extra; see .*\n$/],
    [['cat', `${'0'.repeat(64)}/5`, '--server', ''], /^larder: --server needs an address\.\n$/],
    [['check-config', '--config', '/'], /^larder: The configuration \/ .*: it is a directory\.\n$/],
    [['serve', '--mode', 'sometimes'], /^larder: fetch\.mode from a flag is "sometimes": .*\n$/],
  ]
  for (const [args, sentence] of wrong) {
    test(`${args.join(' ')} fails with one sentence`, async () => {
      const { code, stdout, stderr } = await runLarder(args)
      assert.match(stderr, sentence)
      assert.equal(code, 1)
      assert.equal(stdout.toString(), '')
    })
  }

  test('a reader that has seen enough is no failure', async () => {
    const child = spawn(process.execPath, ['src/main.ts', '--help'], {
      cwd: resolve(import.meta.dirname, '../..'),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    assert.equal(errors, '')
    assert.equal(code, 0)
  })

  test('an old Node is refused before anything is loaded', async () => {
    const pretend = 'Object.defineProperty(process.versions, "node", { value: "20.20.2" })'
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`]
    const { code, stderr } = await runLarder(['--version'], {}, nodeArgs)
    assert.equal(stderr, 'Larder needs Node 24 or later, and this is Node 20.20.2.\n')
    assert.equal(code, 1)
  })
})

describe('check-config', () => {
  test('prints what is in force and where it came from, without passwords', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'larder-cli-'))
    t.after(() => rm(directory, { recursive: true }))
    const file = join(directory, 'larder.yaml')
    await writeFile(
      file,
      'fetch: { freshness: [{ uri: "https://me:sesame@host/*", rule: immutable }] }\n',
    )
    const { code, stdout } = await runLarder(
      ['check-config', '--print', '--config', file, '--log-level', 'warn'],
      { LARDER_CAS_MAX_SIZE: '5GiB' },
    )
    const printed = stdout.toString()
    assert.equal(code, 0)
    assert.match(printed, /^cas\.maxSize: 5GiB {2}# LARDER_CAS_MAX_SIZE$/m)
    assert.match(printed, /^log\.level: warn {2}# a flag$/m)
    assert.match(printed, /^fetch\.freshness: .*https:\/\/host\/.* {2}# .*larder\.yaml:1$/m)
    assert.doesNotMatch(printed, /sesame/)
  })
  test('says how a value is written where its type is wrong', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'larder-cli-'))
    t.after(() => rm(directory, { recursive: true }))
    const file = join(directory, 'larder.yaml')
    const keys = 'fetch: { timeout: 5 }\ncas: { maxSize: [1] }\npush: { requireBlobs: perhaps }\n'
    await writeFile(file, keys)
    const { stderr } = await runLarder(['check-config', '--config', file])
    assert.match(stderr, /fetch\.timeout .* is 5: expected duration, such as 10m\.$/m)
    assert.match(stderr, /cas\.maxSize .* is \[1\]: expected size, such as 100GiB\.$/m)
    assert.match(stderr, /push\.requireBlobs .* is "perhaps": expected true or false\.$/m)
    await writeFile(file, 'data: a\n---\ndata: b\n')
    const two = await runLarder(['check-config', '--config', file])
    assert.match(two.stderr, /^larder: .*:2: Only one YAML document is read\.\n$/)
  })
  test('lists all that is wrong', async () => {
    const { code, stderr } = await runLarder(['check-config'], {
      LARDER_CAS_MAX_SIZE: 'much',
      LARDER_FETCH_QUEUE: 'long',
    })
    assert.equal(code, 1)
    assert.match(stderr, /LARDER_CAS_MAX_SIZE is "much"[\s\S]*LARDER_FETCH_QUEUE is "long"/)
  })
})
