import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { drip } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { startLarder } from '../fixtures/larder-server.ts'
import { bazelMachine, skipBazel } from './bazel.ts'
import { httpFiles, succeeded } from './bazel-rules.ts'

const originFiles = ['greeting.txt', 'hello-1.0.tar.gz']

describe('Bazel', { skip: skipBazel }, () => {
  test('downloads each URL once for all machines, and needs no origin after that', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    await serveExample(origin)
    const options = { grpcUrl: larder.grpcUrl, originUrl: origin.url }
    await using first = await bazelMachine(options)
    await using second = await bazelMachine(options)

    const built = await first.build('//...')
    succeeded(built)
    assert.equal(await first.built('line.txt'), 'hello world ')
    assert.match(built.output, /2 local/, 'a new server knows no action')
    for (const file of originFiles) assert.equal(origin.count(`/${file}`), 1, file)

    await origin.stop()
    const again = await second.build('//...')
    succeeded(again)
    assert.equal(await second.built('line.txt'), 'hello world ')
    assert.equal(origin.requests.length, originFiles.length)
    assert.match(again.output, /2 remote cache hit/, again.transcript)
    assert.doesNotMatch(again.output, /\d local/, again.transcript)
  })

  test('finds all again when the server was killed and started anew', async () => {
    await using origin = await startOrigin()
    await serveExample(origin)
    const dataDir = await mkdtemp(join(tmpdir(), 'larder-data-'))
    try {
      {
        await using larder = await startLarder({ dataDir })
        const options = { grpcUrl: larder.grpcUrl, originUrl: origin.url }
        await using first = await bazelMachine(options)
        succeeded(await first.build('//...'))
        await larder.kill()
      }
      await origin.stop()
      await using larder = await startLarder({ dataDir })
      const options = { grpcUrl: larder.grpcUrl, originUrl: origin.url }
      await using second = await bazelMachine(options)
      const again = await second.build('//...')
      succeeded(again)
      assert.match(again.output, /2 remote cache hit/, again.transcript)
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  test('gets content by its checksum, whatever the URL says', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    await serveExample(origin)
    const greeting = await exampleFile('greeting.txt')
    const url = 'http://no-such-host.invalid/elsewhere.txt'
    const { build, workspace } = httpFiles({ bogus: { urls: [url], sha256: sha256(greeting) } })
    await using first = await bazelMachine({ grpcUrl: larder.grpcUrl, originUrl: origin.url })
    await using second = await bazelMachine({ grpcUrl: larder.grpcUrl, workspace, build })

    // An instance is a name space of its own for assets; the content is one for all.
    succeeded(await first.build('//:line', '--remote_instance_name=team/one'))
    succeeded(await second.build('//:bogus', '--remote_instance_name=team/two'))
    assert.equal(await second.built('bogus.out'), greeting.toString())
  })

  test('gets a file that takes longer than its patience, by one download', async () => {
    await using origin = await startOrigin()
    await using larder = await startLarder()
    const content = Buffer.alloc(3000, 'slow ')
    // About 3 s, in which Bazel gives up and asks again, and again.
    const url = origin.serve('/slow.bin', drip(content, 100, 100))
    const files = httpFiles({ slow: { urls: [url], sha256: sha256(content) } })
    await using machine = await bazelMachine({ grpcUrl: larder.grpcUrl, ...files })

    succeeded(await machine.build('//:slow', '--remote_timeout=1'))
    assert.equal(await machine.built('slow.out'), content.toString())
    assert.equal(origin.count('/slow.bin'), 1)
  })
})

async function serveExample(origin: HttpOrigin): Promise<void> {
  for (const file of originFiles) origin.serve(`/${file}`, await exampleFile(file))
}

function exampleFile(name: string): Promise<Buffer> {
  const example = resolve(import.meta.dirname, '..', '..', 'examples', 'bazel')
  return readFile(join(example, 'origin', name))
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
