import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { ConfigError } from '../../src/config/config-error.ts'
import { configKeys } from '../../src/config/keys.ts'
import { type ConfigInputs, loadConfig } from '../../src/config/load.ts'
import { defaultTreeLimits } from '../../src/importers/tree-limits.ts'

interface Given extends Partial<ConfigInputs> {
  readonly yaml?: string
}

async function load(t: TestContext, { yaml, ...inputs }: Given = {}) {
  const workingDirectory = await mkdtemp(join(tmpdir(), 'larder-config-'))
  t.after(() => rm(workingDirectory, { recursive: true }))
  const file = yaml === undefined ? undefined : 'larder.yaml'
  if (yaml !== undefined) await writeFile(join(workingDirectory, 'larder.yaml'), yaml)
  return loadConfig({ flags: {}, environment: {}, file, workingDirectory, ...inputs })
}

async function problems(t: TestContext, given: Given): Promise<readonly string[]> {
  const error = await load(t, given).then(
    () => assert.fail('the configuration was accepted'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof ConfigError, String(error))
  return error.problems
}

describe('defaults', () => {
  test('are parsed, frozen, and equal to those of the importers', async (t) => {
    const { config, entries } = await load(t)
    assert.equal(config.cas.sizeBytesMax, 100 * 1024 ** 3)
    assert.equal(config.fetch.timeoutMs, 600_000)
    assert.equal(config.instances, undefined)
    assert.deepEqual(config.archive, defaultTreeLimits)
    assert.ok(Object.isFrozen(config.fetch.freshness))
    assert.deepEqual(
      entries.map(({ path }) => path),
      configKeys.map(({ path }) => path),
    )
  })
})

describe('precedence', () => {
  const yaml = 'cas: { maxSize: 1GiB }\n'
  const environment = { LARDER_CAS_MAX_SIZE: '2GiB' }
  test('file over defaults', async (t) =>
    assert.equal((await load(t, { yaml })).config.cas.sizeBytesMax, 1024 ** 3))
  test('environment over file', async (t) =>
    assert.equal((await load(t, { yaml, environment })).config.cas.sizeBytesMax, 2 * 1024 ** 3))
  test('flags over environment', async (t) => {
    const { config } = await load(t, { yaml, environment, flags: { 'cas.maxSize': '3GiB' } })
    assert.equal(config.cas.sizeBytesMax, 3 * 1024 ** 3)
  })
  test('an empty variable is not set', async (t) => {
    const { config } = await load(t, { yaml, environment: { LARDER_CAS_MAX_SIZE: '' } })
    assert.equal(config.cas.sizeBytesMax, 1024 ** 3)
  })
})

describe('the file', () => {
  test('an unknown key is an error with its line and the nearest key', async (t) => {
    const yaml = 'grpc:\n  listen: 127.0.0.1:1\ncas:\n  maxsize: 1GiB\n'
    assert.deepEqual(await problems(t, { yaml }), [
      'larder.yaml:4: there is no key cas.maxsize. Did you mean cas.maxSize?',
    ])
  })
  test('an unknown section is an error, far from any key without a guess', async (t) => {
    assert.deepEqual(await problems(t, { yaml: 'kubernetes: { pod: 1 }' }), [
      'larder.yaml:1: there is no key kubernetes.',
    ])
  })
  test('all problems are told at once, each with its source', async (t) => {
    const told = await problems(t, {
      yaml: 'fetch:\n  queue: -1\n  timeout: 10\n',
      environment: { LARDER_CAS_MAX_SIZE: '5G' },
      flags: { 'log.level': 'loud' },
    })
    assert.equal(told.length, 4)
    assert.match(told[0] ?? '', /^cas\.maxSize from LARDER_CAS_MAX_SIZE is "5G": expected a size/)
    assert.match(told[1] ?? '', /^fetch\.timeout from larder\.yaml:3 is 10: /)
    assert.match(told[2] ?? '', /^fetch\.queue from larder\.yaml:2 is -1: expected a whole number/)
    assert.match(told[3] ?? '', /^log\.level from a flag is "loud": /)
  })
  test('broken YAML and a key given twice name their line', async (t) => {
    assert.match((await problems(t, { yaml: 'cas: {' }))[0] ?? '', /^larder\.yaml:1: /)
    const twice = await problems(t, { yaml: 'data: a\ndata: b\n' })
    assert.match(twice[0] ?? '', /^larder\.yaml:2: .*unique/)
  })
  test('a file that is not there is one sentence', async (t) => {
    assert.deepEqual(await problems(t, { file: 'nope.yaml' }), [
      'The configuration nope.yaml cannot be read: there is no such file.',
    ])
  })
  test('an empty file and empty sections are all defaults', async (t) => {
    assert.equal((await load(t, { yaml: '' })).config.fetch.concurrency, 32)
    assert.equal((await load(t, { yaml: 'fetch:\n' })).config.fetch.concurrency, 32)
  })
  test('variables are put into strings, also for numbers', async (t) => {
    const yaml = `
data: \${BASE}/store
fetch: { concurrency: "\${SLOTS:-7}", freshness: [{ uri: "https://\${HOST}/*", rule: ttl, ttl: 1h }] }
instances: ["$\${literal}"]
`
    const { config } = await load(t, { yaml, environment: { BASE: '/srv', HOST: 'a.example' } })
    assert.equal(config.dataDirectory, '/srv/store')
    assert.equal(config.fetch.concurrency, 7)
    assert.deepEqual(config.instances, [`\${literal}`])
    assert.deepEqual(config.fetch.freshness, [
      { uri: 'https://a.example/*', freshness: { rule: 'ttl', ttlMs: 3_600_000 } },
    ])
  })
  test('a variable that is not set is an error that names it', async (t) => {
    assert.deepEqual(await problems(t, { yaml: `data: "\${NOPE}"` }), [
      `larder.yaml:1: data uses \${NOPE}, which is not set.`,
    ])
  })
  test('a ttl goes with the rule ttl alone', async (t) => {
    const yaml = 'fetch: { freshness: [{ uri: "*", rule: immutable, ttl: 1h }] }'
    assert.match(
      (await problems(t, { yaml }))[0] ?? '',
      /^fetch\.freshness .* only if, it is "ttl"/,
    )
  })
})

test('a fetch without any time is an error', async (t) => {
  const yaml = 'fetch: { timeout: 0, gitTimeout: 0s }'
  assert.deepEqual(
    (await problems(t, { yaml })).map((problem) => problem.replace(/ from .* is /, ' is ')),
    ['fetch.timeout is 0: must be more than 0.', 'fetch.gitTimeout is "0s": must be more than 0.'],
  )
})

describe('the environment', () => {
  test('lists, truth values and "none" are read', async (t) => {
    const environment = {
      LARDER_INSTANCES: 'main, a/b',
      LARDER_GIT_PROTOCOLS: '[https, file]',
      LARDER_PUSH_REQUIRE_BLOBS: 'false',
      LARDER_HTTP_LISTEN: 'none',
    }
    const { config } = await load(t, { environment })
    assert.deepEqual(config.instances, ['main', 'a/b'])
    assert.deepEqual(config.git.protocols, ['https', 'file'])
    assert.equal(config.push.requireBlobs, false)
    assert.equal(config.http.listen, undefined)
  })
  test('unknown names only warn: Kubernetes makes some up', async (t) => {
    const { warnings } = await load(t, {
      environment: { LARDER_PORT: 'tcp://1.2.3.4:1', LARDER_CAS_MAXSIZE: '1GiB', OTHER: '' },
    })
    assert.deepEqual(warnings, [
      'The environment variable LARDER_PORT is no key of the configuration.',
      'The environment variable LARDER_CAS_MAXSIZE is no key of the configuration; ' +
        'did you mean LARDER_CAS_MAX_SIZE?',
    ])
  })
})
