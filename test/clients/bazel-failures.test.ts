import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { basicAuth, cutShortAfter, redirectTo } from '../fixtures/http-behaviours.ts'
import { startOrigin } from '../fixtures/http-origin.ts'
import { startLarder } from '../fixtures/larder-server.ts'
import { bazelMachine, skipBazel } from './bazel.ts'
import { failedWith, httpFiles, succeeded } from './bazel-rules.ts'

const content = Buffer.from('what the rule wants\n')
const sha256 = createHash('sha256').update(content).digest('hex')
const other = Buffer.from('something else\n')
const otherSha256 = createHash('sha256').update(other).digest('hex')

describe('Bazel, when a download fails', { skip: skipBazel }, () => {
  test('shows the reason that Larder gives', async () => {
    await using origin = await startOrigin()
    await using closed = await startOrigin()
    await using larder = await startLarder()
    await closed.stop()
    const files = httpFiles({
      wrong: { urls: [origin.serve('/wrong.bin', other)], sha256 },
      missing: { urls: [`${origin.url}/missing.bin`], sha256 },
      refused: { urls: [`${closed.url}/refused.bin`], sha256 },
      loop: { urls: [origin.serve('/loop.bin', redirectTo('/loop.bin'))], sha256 },
      short: { urls: [origin.serve('/short.bin', cutShortAfter(content, 7))], sha256 },
    })
    await using machine = await bazelMachine({ grpcUrl: larder.grpcUrl, ...files })

    // The reason must be in what Larder said, after the status; Bazel names the URL by itself too.
    failedWith(
      await machine.build('//:wrong'),
      new RegExp(`FAILED_PRECONDITION: .*${origin.url}/wrong\\.bin.*`),
      new RegExp(`FAILED_PRECONDITION: .*${sha256}`),
      new RegExp(`FAILED_PRECONDITION: .*${otherSha256}`),
    )
    failedWith(
      await machine.build('//:missing'),
      new RegExp(`NOT_FOUND: .*${origin.url}/missing\\.bin.*answered 404 Not Found`),
    )
    failedWith(
      await machine.build('//:refused'),
      new RegExp(`UNAVAILABLE: .*${closed.url}/refused\\.bin.*refused the connection`),
    )
    failedWith(await machine.build('//:loop'), new RegExp(`${origin.url}/loop\\.bin.*redirect`))
    failedWith(
      await machine.build('//:short'),
      new RegExp(`UNAVAILABLE: .*${origin.url}/short\\.bin.*7 of ${content.length} bytes`),
    )
    // Bazel makes six tries of what may pass; the origin sees those of one.
    assert.ok(origin.count('/short.bin') <= 3, `${origin.count('/short.bin')} requests`)
  })

  test('never takes a failed download without a checksum for an empty file', async () => {
    await using origin = await startOrigin({ tls: 'valid' })
    await using larder = await startLarder({ ca: origin.ca })
    const files = httpFiles({
      missing: { urls: [`${origin.url}/missing.bin`] },
      short: { urls: [origin.serve('/short.bin', cutShortAfter(content, 7))] },
      good: { urls: [origin.serve('/good.bin', content)] },
    })
    await using machine = await bazelMachine({ grpcUrl: larder.grpcUrl, ...files })

    failedWith(await machine.build('//:missing'), /NOT_FOUND: .*answered 404/)
    failedWith(await machine.build('//:short'), /UNAVAILABLE: .*7 of 20 bytes/)
    for (const name of ['missing', 'short']) {
      assert.deepEqual(await filesIn(machine.externalDir(`${name}_file`)), [], name)
      await assert.rejects(machine.built(`${name}.out`), { code: 'ENOENT' })
    }
    succeeded(await machine.build('//:good'))
    assert.equal(await machine.built('good.out'), content.toString())
  })

  test('sends the credentials of .netrc to the host that they are for, and no other', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    origin.serve(
      '/private.bin',
      basicAuth('alice', 's3cret', (_request, response) => {
        response.end(content)
      }),
    )
    // The first URL needs the same credentials, but .netrc has them for `localhost` only.
    const urls = [`${origin.url}/private.bin`, `${origin.otherUrl}/private.bin`]
    const files = httpFiles({ private: { urls, sha256 } })
    const netrc = 'machine localhost login alice password s3cret\n'
    await using machine = await bazelMachine({ grpcUrl: larder.grpcUrl, netrc, ...files })

    succeeded(await machine.build('//:private'))
    const expected = `Basic ${Buffer.from('alice:s3cret').toString('base64')}`
    assert.deepEqual(
      origin.requests.map(({ headers }) => [headers.host, headers.authorization]),
      [
        [`127.0.0.1:${origin.port}`, undefined],
        [`localhost:${origin.port}`, expected],
      ],
    )
    for (const secret of ['s3cret', expected.slice('Basic '.length)]) {
      assert.ok(!larder.log().includes(secret), 'a secret was logged')
    }
  })
})

/** Names of the files that a repository rule has left behind. */
async function filesIn(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
