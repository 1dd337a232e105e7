import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect, type GrpcClient } from '../../src/wire/grpc-client.ts'
import {
  byteStreamService,
  contentAddressableStorageService,
  fetchService,
} from '../../src/wire/methods.ts'
import { generatedContent } from '../fixtures/generated-content.ts'
import { generatedBody } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'

const mib = 1024 * 1024
const sizeBytes = 2048 * mib
/** The whole process, its code and databases too: a blob in memory would be seven times as much. */
const peakBytesMax = 300 * mib

// SHA-256 of `generatedContent(sizeBytes, seed)`, written down because to hash takes seconds.
const written = {
  seed: 'written',
  hash: '2d8ecd53eba63735fae2d505109ecb75c7a6b23faf0b16b3189eec0dbc230cee',
}
const fetched = {
  seed: 'fetched',
  hash: 'd9b3b6b0981c97357d5fcbbb7ad815978264e9051e959c3d5ae10189b35be9e4',
}

const { FindMissingBlobs } = contentAddressableStorageService.methods
const { Read, Write } = byteStreamService.methods

describe('a blob of 2 GiB', () => {
  let origin: HttpOrigin
  let server: LarderServer
  let client: GrpcClient

  before(async () => {
    origin = await startOrigin()
    server = await startLarder()
    client = connect(server.grpcUrl)
  })

  after(async () => {
    client?.close()
    await server?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('leaves nothing behind if its hash is wrong', async () => {
    const hash = written.hash
    const piece = Buffer.alloc(mib, 'not the content ')
    await assert.rejects(write(hash, Array<Buffer>(sizeBytes / mib).fill(piece)), {
      code: 'INVALID_ARGUMENT',
    })
    assert.equal(await isHeld(hash), false)
    const actual = createHash('sha256')
    for (let at = 0; at < sizeBytes; at += mib) actual.update(piece)
    assert.equal(await isHeld(actual.digest('hex')), false)
    assert.deepEqual(await storedFiles(), [])
    await assertPeakMemory()
  })

  test('is taken in by ByteStream.Write', async () => {
    const { seed, hash } = written
    const { committedSize } = await write(hash, generatedContent(sizeBytes, seed))
    assert.equal(committedSize, sizeBytes)
    assert.equal(await isHeld(hash), true)
    await assertPeakMemory()
  })

  test('is given out whole by ByteStream.Read', async () => {
    assert.deepEqual(await read(written.hash), { sizeBytes, hash: written.hash })
    await assertPeakMemory()
  })

  test('is read from an offset near its end', async () => {
    const tail = lastBytes(written.seed)
    for (const restBytes of [mib + 1, 65_537, 1]) {
      const part = tail.subarray(tail.length - restBytes)
      assert.deepEqual(await read(written.hash, { readOffset: sizeBytes - restBytes }), {
        sizeBytes: restBytes,
        hash: createHash('sha256').update(part).digest('hex'),
      })
    }
    const limited = { readOffset: sizeBytes - 100_000, readLimit: 70_000 }
    assert.deepEqual(await read(written.hash, limited), {
      sizeBytes: 70_000,
      hash: createHash('sha256').update(tail.subarray(-100_000, -30_000)).digest('hex'),
    })
    assert.equal((await read(written.hash, { readOffset: sizeBytes })).sizeBytes, 0)
    await assert.rejects(read(written.hash, { readOffset: sizeBytes + 1 }), {
      code: 'OUT_OF_RANGE',
    })
  })

  test('is fetched from an origin', async () => {
    const uri = origin.serve('/large.bin', generatedBody(sizeBytes, fetched.seed))
    const { blobDigest } = await client.unary(fetchService.methods.FetchBlob, { uris: [uri] })
    assert.equal(blobDigest?.hash, fetched.hash)
    assert.equal(blobDigest?.sizeBytes, sizeBytes)
    assert.equal(await isHeld(fetched.hash), true)
    await assertPeakMemory()
  })

  function write(hash: string, chunks: Iterable<Buffer>) {
    return client.clientStream(Write, requests(`uploads/1/blobs/${hash}/${sizeBytes}`, chunks))
  }

  /** Size and hash of what comes, which is never held as a whole. */
  async function read(hash: string, range: { readOffset?: number; readLimit?: number } = {}) {
    const hasher = createHash('sha256')
    let readBytes = 0
    const request = { resourceName: `blobs/${hash}/${sizeBytes}`, ...range }
    for await (const { data } of client.serverStream(Read, request)) {
      hasher.update(data)
      readBytes += data.byteLength
    }
    return { sizeBytes: readBytes, hash: hasher.digest('hex') }
  }

  async function isHeld(hash: string): Promise<boolean> {
    const request = { blobDigests: [{ hash, sizeBytes }] }
    const { missingBlobDigests } = await client.unary(FindMissingBlobs, request)
    return missingBlobDigests.length === 0
  }

  /** Blobs and temporary files. */
  async function storedFiles(): Promise<string[]> {
    const files: string[] = []
    for (const folder of ['blobs', 'tmp']) {
      const directory = join(server.dataDir, 'cas', folder)
      const entries = await readdir(directory, { recursive: true, withFileTypes: true })
      files.push(...entries.filter((entry) => entry.isFile()).map((entry) => entry.name))
    }
    return files
  }

  async function assertPeakMemory(): Promise<void> {
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
    const peakBytes = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
    const peakMiB = Math.round(peakBytes / mib)
    assert.ok(peakBytes < peakBytesMax, `the server's memory peaked at ${peakMiB} MiB`)
  }
})

function* requests(resourceName: string, chunks: Iterable<Buffer>) {
  let writeOffset = 0
  for (const data of chunks) {
    const finishWrite = writeOffset + data.byteLength === sizeBytes
    yield { resourceName: writeOffset === 0 ? resourceName : '', writeOffset, finishWrite, data }
    writeOffset += data.byteLength
  }
}

/** The last 2 MiB of a generated content. */
function lastBytes(seed: string): Buffer {
  const last: Buffer[] = []
  for (const chunk of generatedContent(sizeBytes, seed)) {
    last.push(chunk)
    if (last.length > 2) last.shift()
  }
  return Buffer.concat(last)
}
