import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { clientDigestFunctions, type Digest, emptyDigest } from '../../src/asset/digest.ts'
import { digestOf, nameBlob } from '../../src/cas/verified-blob.ts'
import { writeBlob } from '../../src/services/byte-stream-write.ts'
import { createInstances } from '../../src/services/instances.ts'
import { formatReadName, formatWriteName } from '../../src/services/resource-name.ts'
import { connect, type GrpcClient } from '../../src/wire/grpc-client.ts'
import { byteStreamService } from '../../src/wire/methods.ts'
import { putBlob, sha256Digest, startCacheServer, storeKinds } from '../fixtures/cache-services.ts'
import { generatedContent } from '../fixtures/generated-content.ts'

const { Read, Write, QueryWriteStatus } = byteStreamService.methods

const emptyFrame = zstdCompressSync(Buffer.alloc(0), {
  params: { [constants.ZSTD_c_compressionLevel]: 1 },
})

function content(sizeBytes: number, seed: string): Buffer {
  return Buffer.concat([...generatedContent(sizeBytes, seed)])
}

function readName(digest: Digest, compressor: 'IDENTITY' | 'ZSTD' = 'IDENTITY'): string {
  return formatReadName({ instance: '', compressor, digest })
}

function writeName(digest: Digest, compressor: 'IDENTITY' | 'ZSTD' = 'IDENTITY'): string {
  return formatWriteName({ instance: 'a/b', compressor, digest, uploadId: randomUUID() })
}

interface Range {
  readonly readOffset?: number
  readonly readLimit?: number
}

interface WriteMessage {
  readonly resourceName?: string
  readonly writeOffset: number
  readonly finishWrite?: boolean
  readonly data: Uint8Array
}

function* messagesOf(name: string, data: Uint8Array, chunkBytes: number): Generator<WriteMessage> {
  let writeOffset = 0
  do {
    const chunk = data.subarray(writeOffset, writeOffset + chunkBytes)
    const finishWrite = writeOffset + chunk.byteLength === data.byteLength
    yield {
      ...(writeOffset === 0 ? { resourceName: name } : {}),
      writeOffset,
      finishWrite,
      data: chunk,
    }
    writeOffset += chunk.byteLength
  } while (writeOffset < data.byteLength)
}

for (const [kind, open] of Object.entries(storeKinds)) {
  const opened = await open({ blobSizeBytesMax: 32 * 1024 ** 2 })
  const { store } = opened
  const server = await startCacheServer(opened)
  const { client } = server
  after(async () => {
    await server[Symbol.asyncDispose]()
    await opened[Symbol.asyncDispose]()
  })

  async function readMessages(resourceName: string, range: Range = {}): Promise<Uint8Array[]> {
    const messages = client.serverStream(Read, { resourceName, ...range })
    return (await Array.fromAsync(messages)).map((message) => message.data)
  }

  async function read(resourceName: string, range: Range = {}): Promise<Buffer> {
    return Buffer.concat(await readMessages(resourceName, range))
  }

  async function write(
    messages: Iterable<WriteMessage> | AsyncIterable<WriteMessage>,
    through: GrpcClient = client,
  ): Promise<number> {
    const { committedSize } = await through.clientStream(Write, messages)
    return committedSize
  }

  async function isHeld(digest: Digest): Promise<boolean> {
    return (await store.findMissing([digest])).length === 0
  }

  describe(`Read over ${kind}`, () => {
    test('a large blob comes whole, in messages between 64 KiB and 1 MiB', async () => {
      const bytes = content(5_000_001, 'large')
      const digest = await putBlob(store, bytes)
      const messages = await readMessages(readName(digest))
      assert.ok(Buffer.concat(messages).equals(bytes))
      for (const message of messages.slice(0, -1)) {
        assert.ok(message.byteLength >= 64 * 1024 && message.byteLength <= 1024 ** 2)
      }
    })

    test('offset and limit choose a part', async () => {
      const bytes = content(200_000, 'part')
      const name = readName(await putBlob(store, bytes))
      assert.ok((await read(name, { readOffset: 150_000 })).equals(bytes.subarray(150_000)))
      assert.ok((await read(name, { readLimit: 10 })).equals(bytes.subarray(0, 10)))
      const middle = await read(name, { readOffset: 70_000, readLimit: 70_000 })
      assert.ok(middle.equals(bytes.subarray(70_000, 140_000)))
      const end = await read(name, { readOffset: 199_999, readLimit: 1_000_000 })
      assert.ok(end.equals(bytes.subarray(199_999)))
      assert.equal((await read(name, { readOffset: 200_000 })).byteLength, 0)
    })

    test('offsets beyond the blob and negative ones are refused', async () => {
      const name = readName(await putBlob(store, 'short'))
      await assert.rejects(read(name, { readOffset: 6 }), { code: 'OUT_OF_RANGE' })
      await assert.rejects(read(name, { readOffset: -1 }), { code: 'OUT_OF_RANGE' })
      await assert.rejects(read(name, { readLimit: -1 }), { code: 'INVALID_ARGUMENT' })
    })

    test('what is not held is NOT_FOUND, a right hash with a wrong size too', async () => {
      const digest = await putBlob(store, 'its size counts')
      const wrongSize = { ...digest, sizeBytes: digest.sizeBytes + 1 }
      const absent = sha256Digest('never stored')
      for (const name of [wrongSize, absent].map((missing) => readName(missing))) {
        await assert.rejects(read(name), { code: 'NOT_FOUND' })
        const sizeBytes = Number(name.split('/').at(-1))
        await assert.rejects(read(name, { readOffset: sizeBytes }), { code: 'NOT_FOUND' })
      }
    })

    test('the empty blob is there under every function, packed too', async () => {
      for (const digestFunction of clientDigestFunctions) {
        const digest = emptyDigest(digestFunction)
        assert.equal((await read(readName(digest))).byteLength, 0)
        const packed = await read(readName(digest, 'ZSTD'))
        assert.equal(zstdDecompressSync(packed).byteLength, 0)
      }
    })

    test('packed, it is one frame from any offset', async () => {
      const bytes = Buffer.concat([content(3_000_000, 'packed'), Buffer.alloc(3_000_000)])
      const name = readName(await putBlob(store, bytes), 'ZSTD')
      for (const readOffset of [0, 1, 65_536, 2_999_999, 6_000_000]) {
        const packed = await read(name, { readOffset })
        assert.ok(zstdDecompressSync(packed).equals(bytes.subarray(readOffset)))
      }
      await assert.rejects(read(name, { readLimit: 5 }), { code: 'INVALID_ARGUMENT' })
      await assert.rejects(read(name, { readOffset: 6_000_001 }), { code: 'OUT_OF_RANGE' })
      const absent = readName(sha256Digest('absent and packed'), 'ZSTD')
      await assert.rejects(read(absent), { code: 'NOT_FOUND' })
    })

    test('a reader that leaves early leaves the server well', async () => {
      const bytes = content(20_000_000, 'left')
      const digest = await putBlob(store, bytes)
      for (const compressor of ['IDENTITY', 'ZSTD'] as const) {
        const resourceName = readName(digest, compressor)
        for await (const _ of client.serverStream(Read, { resourceName })) break
      }
      assert.ok((await read(readName(digest), { readOffset: 19_999_990 })).byteLength === 10)
    })
  })

  describe(`Write over ${kind}`, () => {
    test('a blob in many chunks and in one message is stored', async () => {
      for (const [sizeBytes, chunkBytes] of [
        [3_000_000, 16 * 1024],
        [2_500_000, 1024 ** 2],
        [1000, 1000],
        [3_000_000, 3_000_000],
      ] as const) {
        const bytes = content(sizeBytes, `write ${chunkBytes}`)
        const digest = sha256Digest(bytes)
        assert.equal(await write(messagesOf(writeName(digest), bytes, chunkBytes)), sizeBytes)
        assert.ok((await read(readName(digest))).equals(bytes))
      }
    })

    test('every digest function names a blob', async () => {
      for (const digestFunction of clientDigestFunctions) {
        for (const sizeBytes of [500, 1_200_000]) {
          const bytes = content(sizeBytes, `named by ${digestFunction}`)
          const digest = digestOf(nameBlob(bytes, digestFunction), digestFunction)
          const messages = messagesOf(writeName(digest), bytes, 500_000)
          assert.equal(await write(messages), sizeBytes)
          assert.ok((await read(readName(digest))).equals(bytes))
        }
      }
    })

    test('the name may be repeated, finish_write may come without data', async () => {
      const bytes = content(2000, 'repeated')
      const resourceName = writeName(sha256Digest(bytes))
      const messages = [
        { resourceName, writeOffset: 0, data: bytes.subarray(0, 1500) },
        { resourceName, writeOffset: 1500, data: bytes.subarray(1500) },
        { resourceName, writeOffset: 2000, data: Buffer.alloc(0), finishWrite: true },
      ]
      assert.equal(await write(messages), 2000)
      assert.ok(await isHeld(sha256Digest(bytes)))
    })

    test('the empty blob is one message without data', async () => {
      const resourceName = writeName(emptyDigest('SHA256'))
      const messages = [{ resourceName, writeOffset: 0, data: Buffer.alloc(0), finishWrite: true }]
      assert.equal(await write(messages), 0)
    })

    test('what is held is answered before the rest has come', async () => {
      const bytes = content(400_000, 'held')
      const digest = await putBlob(store, bytes)
      async function* firstOnly(compressor: 'IDENTITY' | 'ZSTD'): AsyncGenerator<WriteMessage> {
        const resourceName = writeName(digest, compressor)
        yield { resourceName, writeOffset: 0, data: bytes.subarray(0, 10) }
        await new Promise(() => {})
      }
      assert.equal(await write(firstOnly('IDENTITY')), 400_000)
      assert.equal(await write(firstOnly('ZSTD')), -1)
    })

    test('what another writer brings in the middle is a success as well', async () => {
      const bytes = content(3_000_000, 'middle')
      const digest = sha256Digest(bytes)
      async function* slow(): AsyncGenerator<WriteMessage> {
        const [first, ...rest] = messagesOf(writeName(digest), bytes, 500_000)
        if (first) yield first
        await putBlob(store, bytes)
        yield* rest
      }
      assert.equal(await write(slow()), 3_000_000)
    })

    test('writers of one blob all succeed, also with one name', async () => {
      const bytes = content(4_000_000, 'together')
      const digest = sha256Digest(bytes)
      const shared = writeName(digest)
      const names = [shared, shared, writeName(digest), writeName(digest)]
      using other = connect(server.address)
      const sizes = await Promise.all(
        names.map((name, index) =>
          write(messagesOf(name, bytes, 300_000 + index), index % 2 === 0 ? client : other),
        ),
      )
      assert.deepEqual(
        sizes,
        names.map(() => 4_000_000),
      )
      assert.ok((await read(readName(digest))).equals(bytes))
    })

    test('one upload id serves many blobs at once', async () => {
      const uploadId = randomUUID()
      const blobs = Array.from({ length: 20 }, (_, index) => content(100_000, `blob ${index}`))
      await Promise.all(
        blobs.map(async (bytes) => {
          const digest = sha256Digest(bytes)
          const name = formatWriteName({ instance: '', compressor: 'IDENTITY', digest, uploadId })
          assert.equal(await write(messagesOf(name, bytes, 30_000)), 100_000)
        }),
      )
      for (const bytes of blobs) assert.ok(await isHeld(sha256Digest(bytes)))
    })

    test('a stream that ends without finish_write keeps nothing', async () => {
      const bytes = content(1_500_000, 'unfinished')
      const digest = sha256Digest(bytes)
      const messages = [...messagesOf(writeName(digest), bytes, 500_000)]
      const unfinished = messages.map((message) => ({ ...message, finishWrite: false }))
      assert.equal(await write(unfinished), 0)
      assert.equal(await write(unfinished.slice(0, 1)), 0)
      assert.equal(await isHeld(digest), false)
    })

    test('a client that goes away in the middle keeps nothing and may come again', async () => {
      const bytes = content(2_000_000, 'gone')
      const digest = sha256Digest(bytes)
      const controller = new AbortController()
      async function* interrupted(): AsyncGenerator<WriteMessage> {
        const [first] = messagesOf(writeName(digest), bytes, 1_000_000)
        if (first) yield first
        controller.abort()
      }
      const options = { signal: controller.signal }
      await assert.rejects(client.clientStream(Write, interrupted(), options), {
        code: 'CANCELLED',
      })
      assert.equal(await isHeld(digest), false)
      assert.equal(await write(messagesOf(writeName(digest), bytes, 1_000_000)), 2_000_000)
    })

    test('packed content of several frames cut anywhere is stored', async () => {
      const bytes = Buffer.concat([Buffer.alloc(2_000_000), content(1_000_000, 'frames')])
      const digest = sha256Digest(bytes)
      const packed = Buffer.concat([
        zstdCompressSync(bytes.subarray(0, 1_234_567)),
        zstdCompressSync(bytes.subarray(1_234_567)),
      ])
      const name = writeName(digest, 'ZSTD')
      assert.equal(await write(messagesOf(name, packed, 77_777)), packed.byteLength)
      assert.ok((await read(readName(digest))).equals(bytes))
    })

    test('a packed blob in one message is stored', async () => {
      const bytes = Buffer.from('packed in one message '.repeat(20))
      const digest = sha256Digest(bytes)
      const packed = zstdCompressSync(bytes)
      const messages = messagesOf(writeName(digest, 'ZSTD'), packed, 1_000_000)
      assert.equal(await write(messages), packed.byteLength)
      assert.ok(await isHeld(digest))
    })

    test('a bomb is stopped at the size of its digest', async () => {
      const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2))
      const digest = { ...sha256Digest('bomb'), sizeBytes: 1000 }
      const messages = messagesOf(writeName(digest, 'ZSTD'), bomb, 1000)
      await assert.rejects(write(messages), {
        code: 'INVALID_ARGUMENT',
        message: /more data came than the 1000 bytes/,
      })
    })

    test('frames that hold nothing do not go on for ever', async () => {
      const digest = { ...sha256Digest('no content'), sizeBytes: 10 }
      const nothing = Buffer.concat(Array.from({ length: 120_000 }, () => emptyFrame))
      const messages = messagesOf(writeName(digest, 'ZSTD'), nothing, 500_000)
      await assert.rejects(write(messages), { code: 'INVALID_ARGUMENT', message: /more data came/ })
    })

    const bytes = content(2_000_000, 'wrong')
    const digest = sha256Digest(bytes)
    const name = writeName(digest)
    const zstdName = writeName(digest, 'ZSTD')
    const first = { resourceName: name, writeOffset: 0, data: bytes.subarray(0, 500) }
    const packed = zstdCompressSync(bytes)
    const packedZeros = zstdCompressSync(Buffer.alloc(1_000_000))
    const tooLarge = { ...digest, sizeBytes: 33 * 1024 ** 2 }
    const wrong: [string, RegExp, WriteMessage[]][] = [
      ['no message', /no message/, []],
      ['no name', /resource_name: is empty/, [{ writeOffset: 0, data: bytes }]],
      ['a read name', /uploads/, [{ ...first, resourceName: readName(digest) }]],
      ['a first offset', /write_offset/, [{ ...first, writeOffset: 5 }]],
      ['a negative offset', /write_offset/, [{ ...first, writeOffset: -5 }]],
      ['a gap', /write_offset/, [first, { writeOffset: 501, data: bytes }]],
      ['a repetition', /write_offset/, [first, { writeOffset: 0, data: bytes }]],
      ['another name', /changed/, [first, { ...first, resourceName: zstdName, writeOffset: 500 }]],
      ['other content', /has the SHA256 hash/, [...messagesOf(name, Buffer.alloc(2e6), 1e6)]],
      ['too little', /1500 bytes, expected/, [...messagesOf(name, bytes.subarray(0, 1500), 1000)]],
      [
        'too little at once',
        /15 bytes, expected/,
        [...messagesOf(name, bytes.subarray(0, 15), 15)],
      ],
      ['too much', /more data/, [...messagesOf(name, Buffer.alloc(2_000_001), 900_000)]],
      ['no zstd', /cannot be unpacked/, [...messagesOf(zstdName, bytes, 900_000)]],
      ['a cut frame', /cannot be unpacked/, [...messagesOf(zstdName, packed.subarray(0, -5), 9e5)]],
      [
        'a packed bomb at once',
        /more than the 1000/,
        [...messagesOf(writeName({ ...digest, sizeBytes: 1000 }, 'ZSTD'), packedZeros, 9e5)],
      ],
      [
        'no zstd at once',
        /cannot be unpacked/,
        [
          ...messagesOf(
            writeName({ ...digest, sizeBytes: 1000 }, 'ZSTD'),
            bytes.subarray(0, 1000),
            9e5,
          ),
        ],
      ],
      ['other packed', /hash/, [...messagesOf(zstdName, zstdCompressSync(Buffer.alloc(2e6)), 9e5)]],
      [
        'a size beyond the limit',
        /max_cas_blob_size_bytes/,
        [...messagesOf(writeName(tooLarge), bytes, 9e5)],
      ],
    ]
    for (const [what, message, messages] of wrong) {
      test(`${what} is INVALID_ARGUMENT and nothing is kept`, async () => {
        await assert.rejects(write(messages), { code: 'INVALID_ARGUMENT', message })
        assert.equal(await isHeld(digest), false)
      })
    }

    test('data behind finish_write is INVALID_ARGUMENT', async () => {
      const both = [
        { resourceName: name, writeOffset: 0, data: bytes, finishWrite: true },
        { writeOffset: 2_000_000, data: bytes, finishWrite: true },
      ]
      async function* requests() {
        for (const message of both) yield { resourceName: '', ...message }
      }
      await assert.rejects(
        writeBlob({ store, instances: createInstances(undefined) }, requests()),
        { code: 'INVALID_ARGUMENT' },
      )
      assert.equal(await isHeld(digest), false)
    })
  })

  describe(`QueryWriteStatus over ${kind}`, () => {
    test('absent is 0 and not complete, present is its size and complete', async () => {
      const digest = sha256Digest('query')
      for (const compressor of ['IDENTITY', 'ZSTD'] as const) {
        const resourceName = writeName(digest, compressor)
        const status = await client.unary(QueryWriteStatus, { resourceName })
        assert.deepEqual([status.committedSize, status.complete], [0, false])
      }
      await putBlob(store, 'query')
      const resourceName = writeName(digest)
      const status = await client.unary(QueryWriteStatus, { resourceName })
      assert.deepEqual([status.committedSize, status.complete], [5, true])
    })

    test('a name that is none is INVALID_ARGUMENT', async () => {
      const resourceName = readName(sha256Digest('query'))
      await assert.rejects(client.unary(QueryWriteStatus, { resourceName }), {
        code: 'INVALID_ARGUMENT',
      })
    })
  })
}
