import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { clientDigestFunctions, type Digest, emptyDigest } from '../../src/asset/digest.ts'
import { digestOf, nameBlob } from '../../src/cas/verified-blob.ts'
import { build } from '../../src/gen/reapi.js'
import { digestFunctionToProto, digestToProto } from '../../src/wire/digests.ts'
import { contentAddressableStorageService } from '../../src/wire/methods.ts'
import { putBlob, sha256Digest, startCacheServer, storeKinds } from '../fixtures/cache-services.ts'
import { generatedContent } from '../fixtures/generated-content.ts'

const { FindMissingBlobs, BatchUpdateBlobs, BatchReadBlobs, SplitBlob, SpliceBlob } =
  contentAddressableStorageService.methods
const { BatchReadBlobsResponse, Compressor } = build.bazel.remote.execution.v2
const { IDENTITY, ZSTD, BROTLI } = Compressor.Value

type BlobMessage = build.bazel.remote.execution.v2.BatchUpdateBlobsRequest.Request.$Properties

const ok = 0
const invalidArgument = 3
const notFound = 5
const exhausted = 8

const invalid = { code: 'INVALID_ARGUMENT' }
const responseBytesMax = 4 * 1024 ** 2

function content(sizeBytes: number, seed: string): Buffer {
  return Buffer.concat([...generatedContent(sizeBytes, seed)])
}

for (const [kind, open] of Object.entries(storeKinds)) {
  const opened = await open({ blobSizeBytesMax: 3_500_000 })
  const { store } = opened
  const server = await startCacheServer(opened)
  const { client } = server
  after(async () => {
    await server[Symbol.asyncDispose]()
    await opened[Symbol.asyncDispose]()
  })

  const update = async (requests: readonly BlobMessage[]) => {
    const { responses } = await client.unary(BatchUpdateBlobs, { requests: [...requests] })
    for (const response of responses) assert.ok(response.status, 'a status is always there')
    return responses
  }

  const readAll = async (digests: readonly { hash: string; sizeBytes: number }[]) => {
    const { responses } = await client.unary(BatchReadBlobs, { digests: [...digests] })
    return responses
  }

  const isHeld = async (digest: Digest) => (await store.findMissing([digest])).length === 0

  describe(`FindMissingBlobs over ${kind}`, () => {
    test('names what is absent, each once and in the order asked', async () => {
      const held = await putBlob(store, 'held')
      const absent = [sha256Digest('absent 1'), sha256Digest('absent 2')].map(digestToProto)
      const wrongSize = { hash: held.hash, sizeBytes: held.sizeBytes + 1 }
      const blobDigests = [
        ...absent,
        digestToProto(held),
        digestToProto(emptyDigest('SHA256')),
        wrongSize,
        ...absent,
      ]
      const { missingBlobDigests } = await client.unary(FindMissingBlobs, { blobDigests })
      assert.deepEqual(
        missingBlobDigests.map(({ hash, sizeBytes }) => ({ hash, sizeBytes })),
        [...absent, wrongSize],
      )
    })

    test('nothing asked is nothing missing', async () => {
      const { missingBlobDigests } = await client.unary(FindMissingBlobs, {})
      assert.equal(missingBlobDigests.length, 0)
    })

    test('tens of thousands of digests are answered', async () => {
      const held = digestToProto(await putBlob(store, 'one among many'))
      const blobDigests = Array.from({ length: 50_000 }, (_, index) => ({
        hash: index.toString(16).padStart(64, '0'),
        sizeBytes: index,
      }))
      blobDigests[30_000] = held
      const { missingBlobDigests } = await client.unary(FindMissingBlobs, { blobDigests })
      assert.equal(missingBlobDigests.length, 49_999)
      assert.ok(!missingBlobDigests.some((digest) => digest.hash === held.hash))
    })

    test('the function comes from the length, or from the request', async () => {
      for (const digestFunction of clientDigestFunctions) {
        const digest = await putBlob(store, `found by ${digestFunction}`, digestFunction)
        const empty = emptyDigest(digestFunction)
        const blobDigests = [empty, digest].map(digestToProto)
        const named = { blobDigests, digestFunction: digestFunctionToProto(digestFunction) }
        assert.equal((await client.unary(FindMissingBlobs, named)).missingBlobDigests.length, 0)
        // 64 digits are SHA256 where nothing else is said.
        const inferred = await client.unary(FindMissingBlobs, { blobDigests })
        const expected = digestFunction === 'BLAKE3' ? 2 : 0
        assert.equal(inferred.missingBlobDigests.length, expected)
      }
    })

    test('bad digests, mixed lengths and unknown functions are INVALID_ARGUMENT', async () => {
      const good = digestToProto(sha256Digest('good'))
      const lists = [
        [{}],
        [good, digestToProto(emptyDigest('SHA1'))],
        [{ hash: good.hash.toUpperCase(), sizeBytes: 1 }],
        [{ hash: good.hash, sizeBytes: -1 }],
        [{ hash: 'xyz', sizeBytes: 1 }],
      ]
      for (const blobDigests of lists) {
        await assert.rejects(client.unary(FindMissingBlobs, { blobDigests }), invalid)
      }
      for (const digestFunction of [4, 8, 10, 77]) {
        const request = { blobDigests: [good], digestFunction: digestFunction as 1 }
        await assert.rejects(client.unary(FindMissingBlobs, request), invalid)
      }
    })
  })

  describe(`BatchUpdateBlobs over ${kind}`, () => {
    test('stores each blob on its own and says so for each', async () => {
      const good = Buffer.from('a good one')
      const large = content(300_000, 'a large one')
      const requests = [
        { digest: digestToProto(sha256Digest(good)), data: good },
        { digest: digestToProto(sha256Digest('other')), data: Buffer.from('wrong') },
        { digest: digestToProto(sha256Digest(large)), data: large },
        { digest: digestToProto(emptyDigest('SHA256')) },
        { digest: { ...digestToProto(sha256Digest(good)), sizeBytes: 11 }, data: good },
        { digest: { hash: 'short', sizeBytes: 5 }, data: good },
        { data: good },
        { digest: { hash: '0'.repeat(64), sizeBytes: -3 }, data: good },
      ]
      const responses = await update(requests)
      assert.deepEqual(
        responses.map((response) => response.status?.code),
        [ok, invalidArgument, ok, ok, ...Array(4).fill(invalidArgument)],
      )
      assert.deepEqual(
        responses.slice(0, 6).map((response) => response.digest?.hash),
        requests.slice(0, 6).map((request) => request.digest?.hash),
      )
      assert.match(responses[1]?.status?.message ?? '', /has the SHA256 hash/)
      assert.ok(await isHeld(sha256Digest(good)))
      assert.ok(await isHeld(sha256Digest(large)))
      assert.equal(await isHeld(sha256Digest('wrong')), false)
    })

    test('an empty batch is OK, as BuildStream 1 asks at its start', async () => {
      assert.deepEqual(await update([]), [])
    })

    test('the same blob twice, and in several batches at once, is OK', async () => {
      const blobs = Array.from({ length: 30 }, (_, index) => Buffer.from(`shared blob ${index}`))
      const requests = [...blobs, ...blobs].map((data) => ({
        digest: digestToProto(sha256Digest(data)),
        data,
      }))
      const answers = await Promise.all(Array.from({ length: 8 }, () => update(requests)))
      for (const response of answers.flat()) assert.equal(response.status?.code, ok)
      for (const blob of blobs) assert.ok(await isHeld(sha256Digest(blob)))
    })

    test('packed blobs are stored, bombs and other packings are refused', async () => {
      const data = Buffer.from('packed '.repeat(100))
      const digest = digestToProto(sha256Digest(data))
      const bombDigest = { ...digest, sizeBytes: 100 }
      const frames = [data.subarray(0, 50), data.subarray(50)].map((part) => zstdCompressSync(part))
      const bomb = zstdCompressSync(Buffer.alloc(3_000_000))
      const responses = await update([
        { digest: bombDigest, data: bomb, compressor: ZSTD },
        { digest, data, compressor: ZSTD },
        { digest, data, compressor: BROTLI },
        { digest, data, compressor: 42 as 1 },
        { digest, data: Buffer.concat(frames), compressor: ZSTD },
        {
          digest: digestToProto(emptyDigest('SHA256')),
          data: zstdCompressSync(Buffer.alloc(0)),
          compressor: ZSTD,
        },
      ])
      assert.deepEqual(
        responses.map((response) => response.status?.code),
        [...Array(4).fill(invalidArgument), ok, ok],
      )
      assert.match(responses[0]?.status?.message ?? '', /more than the 100 bytes/)
      assert.ok(await isHeld(sha256Digest(data)))
    })

    test('every digest function is proven', async () => {
      for (const digestFunction of clientDigestFunctions) {
        const data = Buffer.from(`updated by ${digestFunction}`)
        const digest = digestOf(nameBlob(data, digestFunction), digestFunction)
        const requests = [
          { digest: digestToProto(digest), data },
          { digest: { ...digestToProto(digest), hash: digest.hash.replace(/./, '0') }, data },
        ]
        const { responses } = await client.unary(BatchUpdateBlobs, {
          requests,
          digestFunction: digestFunctionToProto(digestFunction),
        })
        assert.equal(responses[0]?.status?.code, ok)
        if (!digest.hash.startsWith('0')) {
          assert.equal(responses[1]?.status?.code, invalidArgument)
        }
        assert.ok(await isHeld(digest))
      }
    })

    test('the sum of sizes has a limit, a blob has its own', async () => {
      const limit = 4_000_000
      const half = content(limit / 2, 'half')
      const halves = [half, content(limit / 2, 'other half')]
      const full = halves.map((data) => ({ digest: digestToProto(sha256Digest(data)), data }))
      assert.deepEqual(
        (await update(full)).map((response) => response.status?.code),
        [ok, ok],
      )
      const one = { digest: digestToProto(sha256Digest('1')), data: Buffer.from('1') }
      await assert.rejects(update([...full, one]), {
        ...invalid,
        message: /max_batch_total_size_bytes = 4000000/,
      })
      const large = content(3_600_000, 'too large')
      const [response] = await update([{ digest: digestToProto(sha256Digest(large)), data: large }])
      assert.equal(response?.status?.code, invalidArgument)
      assert.match(response?.status?.message ?? '', /max_cas_blob_size_bytes/)
    })
  })

  describe(`BatchReadBlobs over ${kind}`, () => {
    test('answers each digest exactly as it was asked', async () => {
      const text = digestToProto(await putBlob(store, 'some text'))
      const large = content(1_000_000, 'read large')
      const digests = [
        digestToProto(await putBlob(store, large)),
        { hash: text.hash, sizeBytes: 99 },
        text,
        digestToProto(sha256Digest('absent')),
        digestToProto(emptyDigest('SHA256')),
        text,
        { hash: 'short', sizeBytes: 1 },
        { hash: text.hash, sizeBytes: -1 },
      ]
      const responses = await readAll(digests)
      assert.deepEqual(
        responses.map(({ digest }) => ({ hash: digest?.hash, sizeBytes: digest?.sizeBytes })),
        digests,
      )
      assert.deepEqual(
        responses.map(({ status }) => status?.code),
        [ok, notFound, ok, notFound, ok, ok, invalidArgument, invalidArgument],
      )
      const data = responses.map((response) => Buffer.from(response.data ?? []))
      assert.ok(data[0]?.equals(large))
      assert.equal(data[2]?.toString(), 'some text')
      assert.equal(data[4]?.byteLength, 0)
      assert.equal(data[5]?.toString(), 'some text')
    })

    test('an empty batch is OK', async () => {
      assert.deepEqual(await readAll([]), [])
    })

    test('packs for those who take it, where it gains something', async () => {
      const text = 'to be packed '.repeat(1000)
      const noise = content(1000, 'noise')
      const digests = [
        digestToProto(await putBlob(store, text)),
        digestToProto(await putBlob(store, noise)),
        digestToProto(emptyDigest('SHA256')),
      ]
      const request = { digests, acceptableCompressors: [IDENTITY, ZSTD] }
      const { responses } = await client.unary(BatchReadBlobs, request)
      assert.deepEqual(
        responses.map((response) => response.compressor),
        [ZSTD, IDENTITY, IDENTITY],
      )
      assert.equal(zstdDecompressSync(responses[0]?.data ?? noise).toString(), text)
      assert.ok(noise.equals(responses[1]?.data ?? Buffer.alloc(0)))
      const others = { digests, acceptableCompressors: [BROTLI, 99 as 1] }
      const plain = await client.unary(BatchReadBlobs, others)
      assert.ok(plain.responses.every((response) => response.compressor === IDENTITY))
    })

    test('the sum of sizes has a limit', async () => {
      const digest = { hash: '0'.repeat(64), sizeBytes: 2_000_000 }
      assert.equal((await readAll([digest, digest]))[0]?.status?.code, notFound)
      const beyond = [digest, digest, { ...digest, sizeBytes: 1 }]
      await assert.rejects(readAll(beyond), {
        ...invalid,
        message: /max_batch_total_size_bytes = 4000000/,
      })
      const huge = { ...digest, sizeBytes: Number.MAX_SAFE_INTEGER }
      await assert.rejects(readAll([huge, huge]), invalid)
    })

    test('the response stays below 4 MiB however many blobs there are', async () => {
      const large = content(3_400_000, 'filling')
      const tiny = Buffer.from('tiny')
      const digests = [
        ...Array(9000).fill(digestToProto(await putBlob(store, tiny))),
        digestToProto(await putBlob(store, large)),
      ]
      const response = await client.unary(BatchReadBlobs, { digests })
      assert.ok(BatchReadBlobsResponse.encode(response).finish().byteLength < responseBytesMax)
      assert.equal(response.responses.length, 9001)
      assert.equal(response.responses[8999]?.status?.code, ok)
      assert.equal(response.responses[9000]?.status?.code, exhausted)
      const tooMany = Array(60_000).fill(digests[0])
      await assert.rejects(readAll(tooMany), { ...invalid, message: /do not fit/ })
      const absent = Array(30_000).fill({ hash: '1'.repeat(64), sizeBytes: 1 })
      const missing = await client.unary(BatchReadBlobs, { digests: absent })
      assert.ok(BatchReadBlobsResponse.encode(missing).finish().byteLength < responseBytesMax)
    })
  })

  describe(`SplitBlob and SpliceBlob over ${kind}`, () => {
    test('are not offered', async () => {
      const unimplemented = { code: 'UNIMPLEMENTED' }
      await assert.rejects(client.unary(SplitBlob, {}), unimplemented)
      await assert.rejects(client.unary(SpliceBlob, {}), unimplemented)
    })
  })
}
