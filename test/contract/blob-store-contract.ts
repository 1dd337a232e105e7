import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import {
  clientDigestFunctions,
  type Digest,
  type DigestFunction,
  digestText,
  emptyDigest,
} from '../../src/asset/digest.ts'
import { AssetError, type AssetErrorCode } from '../../src/asset/errors.ts'
import type { BlobStore, ReadRange } from '../../src/cas/blob-store.ts'
import { nameBlob } from '../../src/cas/verified-blob.ts'
import { hashBytes } from '../../src/util/hasher.ts'

/** An opened store; `reopen` closes it and opens the same content again, if it is kept. */
export interface BlobStoreFixture {
  readonly store: BlobStore
  readonly reopen?: () => Promise<BlobStore>
  /** Names of files of the store that belong to no blob, e.g. temporary ones. */
  readonly leftovers?: () => Promise<readonly string[]>
  readonly dispose: () => Promise<void>
}

type OpenFixture = () => Promise<BlobStoreFixture>
type UploadFunction = Exclude<DigestFunction, 'GITSHA1'>

const allFunctions: readonly DigestFunction[] = [...clientDigestFunctions, 'GITSHA1']

// Around every border: one byte, inline limits, the 64 KiB chunk, the spilling of uploads.
const sizesBytes = [1, 100, 4096, 16_384, 20_000, 65_536, 65_537, 300_000, 2_500_001]

export function digestFor(data: Uint8Array, digestFunction: DigestFunction = 'SHA256'): Digest {
  const hash = hashBytes(digestFunction, data)
  return { function: digestFunction, hash, sizeBytes: data.byteLength }
}

export async function readAll(store: BlobStore, digest: Digest, range?: ReadRange) {
  const chunks: Uint8Array[] = []
  for await (const chunk of store.read(digest, range)) {
    assert.ok(chunk.byteLength > 0 && chunk.byteLength <= (range?.chunkBytes ?? 65_536))
    // The caller keeps what it was given, unless it has said that it does not.
    chunks.push(range?.reusesMemory ? copyOf(chunk) : chunk)
  }
  return Buffer.concat(chunks)
}

export async function uploadAll(
  store: BlobStore,
  data: Uint8Array,
  functions: readonly UploadFunction[] = [],
  chunkBytes = 50_000,
): Promise<void> {
  await using upload = store.upload({ functions, sizeBytesMax: 2 ** 40 })
  for (let at = 0; at < data.byteLength; at += chunkBytes) {
    // The chunk is overwritten afterwards, since the store may not keep it longer.
    const chunk = copyOf(data.subarray(at, at + chunkBytes))
    await upload.write(chunk)
    chunk.fill(0xee)
  }
  assert.equal(upload.sizeBytes, data.byteLength)
  const hashes = await upload.finish()
  assert.equal(hashes.get('SHA256'), hashBytes('SHA256', data))
  for (const name of functions) assert.equal(hashes.get(name), hashBytes(name, data))
  await upload.commit()
}

export function hasCode(code: AssetErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof AssetError && error.code === code && error.message.length > 0
}

/** Every rule that `BlobStore` gives; each store's test calls it. */
export function blobStoreContract(name: string, open: OpenFixture): void {
  describe(`BlobStore contract: ${name}`, () => {
    const rule = (title: string, body: (fixture: BlobStoreFixture) => Promise<void>) =>
      test(title, async () => {
        const fixture = await open()
        try {
          await body(fixture)
          assert.deepEqual(await fixture.leftovers?.(), fixture.leftovers && [])
        } finally {
          await fixture.dispose()
        }
      })
    emptyBlobRules(rule)
    lookupRules(rule)
    readRules(rule)
    putRules(rule)
    uploadRules(rule)
    propertyRules(rule)
  })
}

type Rule = (title: string, body: (fixture: BlobStoreFixture) => Promise<void>) => void

function emptyBlobRules(rule: Rule): void {
  rule('the empty blob is held under every function, also after reopen', async (fixture) => {
    const check = async (store: BlobStore) => {
      for (const digestFunction of allFunctions) {
        const digest = emptyDigest(digestFunction)
        assert.deepEqual(await store.findMissing([digest]), [])
        assert.deepEqual(await store.findByHash(digestFunction, digest.hash), digest)
        assert.equal((await readAll(store, digest)).byteLength, 0)
        assert.equal((await store.readBatch([digest]))[0]?.byteLength, 0)
        for (const other of allFunctions) {
          assert.deepEqual(await store.translate(digest, other), emptyDigest(other))
        }
      }
    }
    await check(fixture.store)
    await fixture.store.putBatch([nameBlob(new Uint8Array(0), 'BLAKE3')])
    await uploadAll(fixture.store, new Uint8Array(0), ['SHA512'])
    assert.equal(fixture.store.stats().blobs, 0)
    if (fixture.reopen) await check(await fixture.reopen())
  })

  rule('a wrong hash of no bytes is not held', async ({ store }) => {
    const digest: Digest = { function: 'SHA256', hash: 'a'.repeat(64), sizeBytes: 0 }
    assert.deepEqual(await store.findMissing([digest]), [digest])
    await assert.rejects(readAll(store, digest), hasCode('NOT_FOUND'))
  })
}

function lookupRules(rule: Rule): void {
  rule('missing digests come once each, in the order asked', async ({ store }) => {
    const held = randomBytes(10)
    await store.putBatch([nameBlob(held)])
    const gone = [3, 1, 2].map((size) => digestFor(randomBytes(size + 1)))
    const [a, b, c] = gone as [Digest, Digest, Digest]
    const asked = [a, digestFor(held), b, a, { ...b }, c, digestFor(held), a]
    assert.deepEqual(await store.findMissing(asked), [a, b, c])
    assert.deepEqual(await store.findMissing([]), [])
  })

  rule('ten thousand digests are looked up in one call', async ({ store }) => {
    const blobs = Array.from({ length: 1000 }, (_, index) => Buffer.from(`blob ${index}`))
    await store.putBatch(blobs.map((data) => nameBlob(data)))
    const gone = Array.from({ length: 9000 }, (_, index) => digestFor(Buffer.from(`gone ${index}`)))
    const asked = gone.flatMap((digest, index) =>
      index % 9 === 0 ? [digest, digestFor(blobs[index / 9] ?? Buffer.alloc(0))] : [digest],
    )
    assert.equal(asked.length, 10_000)
    assert.deepEqual(await store.findMissing(asked), gone)
  })

  rule('a right hash with a wrong size is not held', async ({ store }) => {
    for (const size of [100, 300_000]) {
      const data = randomBytes(size)
      await store.putBatch([nameBlob(copyOf(data), 'SHA1')])
      for (const name of ['SHA256', 'SHA1'] as const) {
        const wrong = { ...digestFor(data, name), sizeBytes: size - 1 }
        assert.deepEqual(await store.findMissing([wrong]), [wrong])
        assert.deepEqual(await store.readBatch([wrong]), [undefined])
        assert.equal(await store.translate(wrong, 'MD5'), undefined)
        await assert.rejects(readAll(store, wrong), hasCode('NOT_FOUND'))
      }
    }
  })

  rule(
    'content is found by a hash without its size, under its function only',
    async ({ store }) => {
      const data = randomBytes(777)
      await store.putBatch([nameBlob(copyOf(data), 'SHA512')])
      const sha512 = digestFor(data, 'SHA512')
      assert.deepEqual(await store.findByHash('SHA512', sha512.hash), sha512)
      assert.deepEqual(await store.findByHash('SHA256', digestFor(data).hash), digestFor(data))
      assert.equal(await store.findByHash('BLAKE3', digestFor(data).hash), undefined)
      assert.equal(await store.findByHash('SHA1', digestFor(data, 'SHA1').hash), undefined)
    },
  )

  rule('held content is named under every other function, and remembered', async (fixture) => {
    let { store } = fixture
    for (const size of [5, 20_000, 300_000]) {
      const data = randomBytes(size)
      await store.putBatch([nameBlob(copyOf(data))])
      for (const from of allFunctions) {
        const source = digestFor(data, from)
        if (from !== 'SHA256') await store.translate(digestFor(data), from)
        for (const to of allFunctions) {
          assert.deepEqual(await store.translate(source, to), digestFor(data, to))
        }
      }
      if (fixture.reopen) store = await fixture.reopen()
      for (const to of allFunctions) {
        assert.deepEqual(await store.findByHash(to, hashBytes(to, data)), digestFor(data, to))
        assert.deepEqual(await readAll(store, digestFor(data, to)), data)
      }
    }
    assert.equal(store.stats().blobs, 3)
    assert.equal(await store.translate(digestFor(randomBytes(9)), 'SHA1'), undefined)
  })
}

function readRules(rule: Rule): void {
  rule('what is not held rejects with NOT_FOUND before the first chunk', async ({ store }) => {
    await assert.rejects(readAll(store, digestFor(randomBytes(10))), hasCode('NOT_FOUND'))
    const digest = digestFor(randomBytes(10), 'BLAKE3')
    await assert.rejects(readAll(store, digest), hasCode('NOT_FOUND'))
  })

  rule('every range of a blob of every size can be read', async ({ store }) => {
    for (const size of sizesBytes) {
      const data = randomBytes(size)
      await store.putBatch([nameBlob(copyOf(data))])
      const digest = digestFor(data)
      const middle = Math.floor(size / 2)
      const ranges: [number | undefined, number | undefined][] = [
        [undefined, undefined],
        [middle, undefined],
        [undefined, middle],
        [middle, size - middle],
        [size, undefined],
        [size - 1, 1],
        [middle, 0],
      ]
      for (const chunkBytes of [undefined, 1000 + middle, 1024 * 1024]) {
        for (const [offsetBytes, lengthBytes] of ranges) {
          const range = {
            ...(chunkBytes === undefined ? {} : { chunkBytes }),
            ...(offsetBytes === undefined ? {} : { offsetBytes }),
            ...(lengthBytes === undefined ? {} : { lengthBytes }),
          }
          const start = offsetBytes ?? 0
          const expected = data.subarray(start, start + (lengthBytes ?? size))
          for (const reusesMemory of [false, true]) {
            const found = await readAll(store, digest, { ...range, reusesMemory })
            assert.ok(found.equals(expected), `size ${size}, range ${JSON.stringify(range)}`)
          }
        }
      }
    }
  })

  rule('a reader that stops early leaves the store usable', async ({ store }) => {
    const data = randomBytes(3_000_000)
    await uploadAll(store, data)
    for (let round = 0; round < 20; round++) {
      for await (const chunk of store.read(digestFor(data))) {
        assert.ok(chunk.byteLength > 0)
        break
      }
    }
    assert.ok((await readAll(store, digestFor(data))).equals(data))
  })

  rule('a batch is answered in the order asked, with gaps', async ({ store }) => {
    const blobs = sizesBytes.slice(0, 7).map((size) => randomBytes(size))
    await store.putBatch(blobs.map((data) => nameBlob(copyOf(data), 'BLAKE3')))
    const gone = digestFor(randomBytes(33))
    const asked = blobs.flatMap((data) => [gone, digestFor(data), digestFor(data, 'BLAKE3')])
    const answer = await store.readBatch(asked)
    assert.deepEqual(
      answer.map((data) => data && Buffer.from(data)),
      blobs.flatMap((data) => [undefined, data, data]),
    )
  })
}

function putRules(rule: Rule): void {
  rule('blobs of every size are kept, also after reopen', async (fixture) => {
    const blobs = sizesBytes.map((size) => randomBytes(size))
    await fixture.store.putBatch(blobs.map((data) => nameBlob(copyOf(data))))
    const total = sizesBytes.reduce((sum, size) => sum + size, 0)
    const check = async (store: BlobStore) => {
      assert.equal(store.stats().blobs, blobs.length)
      assert.equal(store.stats().sizeBytes, total)
      for (const data of blobs) assert.ok((await readAll(store, digestFor(data))).equals(data))
    }
    await check(fixture.store)
    if (fixture.reopen) await check(await fixture.reopen())
  })

  rule('several names, and the same content again, are one copy', async ({ store }) => {
    for (const size of [50, 200_000]) {
      const before = store.stats()
      const data = randomBytes(size)
      await store.putBatch([nameBlob(copyOf(data), 'BLAKE3'), nameBlob(copyOf(data), 'SHA1')])
      await store.putBatch([nameBlob(copyOf(data), 'GITSHA1')])
      await uploadAll(store, data, ['SHA512'])
      assert.equal(store.stats().blobs, before.blobs + 1)
      assert.equal(store.stats().sizeBytes, before.sizeBytes + size)
      for (const name of ['SHA256', 'BLAKE3', 'SHA1', 'GITSHA1', 'SHA512'] as const) {
        assert.ok((await readAll(store, digestFor(data, name))).equals(data), name)
      }
      const other = digestFor(data, 'MD5')
      assert.deepEqual(await store.findMissing([other]), [other])
    }
  })

  rule('views into one shared buffer are stored each by itself', async ({ store }) => {
    const slab = randomBytes(100_000)
    const views = [0, 10, 30_000].map((at) => slab.subarray(at, at + 30_000 + at))
    const copies = views.map((view) => Buffer.from(view))
    await store.putBatch(views.map((view) => nameBlob(view)))
    for (const data of copies) assert.ok((await readAll(store, digestFor(data))).equals(data))
  })

  rule('concurrent batches with the same content all succeed', async ({ store }) => {
    const blobs = Array.from({ length: 20 }, (_, index) => randomBytes(1 + index * 3000))
    const batches = Array.from({ length: 10 }, () => blobs.map((data) => nameBlob(copyOf(data))))
    await Promise.all(batches.map((batch) => store.putBatch(batch)))
    assert.equal(store.stats().blobs, blobs.length)
    assert.deepEqual(await store.findMissing(blobs.map((data) => digestFor(data))), [])
  })
}

function uploadRules(rule: Rule): void {
  rule('uploads of every size are kept under all names asked for', async (fixture) => {
    const blobs = sizesBytes.map((size) => randomBytes(size))
    for (const data of blobs) await uploadAll(fixture.store, data, ['BLAKE3', 'SHA256', 'MD5'])
    const check = async (store: BlobStore) => {
      for (const data of blobs) {
        for (const name of ['SHA256', 'BLAKE3', 'MD5'] as const) {
          assert.ok((await readAll(store, digestFor(data, name))).equals(data))
        }
      }
    }
    await check(fixture.store)
    if (fixture.reopen) await check(await fixture.reopen())
  })

  rule('nothing is visible before commit', async ({ store }) => {
    for (const size of [100, 3_000_000]) {
      const data = randomBytes(size)
      await using upload = store.upload({ functions: [], sizeBytesMax: size })
      await upload.write(copyOf(data))
      assert.deepEqual(await store.findMissing([digestFor(data)]), [digestFor(data)])
      await upload.finish()
      assert.deepEqual(await store.findMissing([digestFor(data)]), [digestFor(data)])
      await upload.commit()
      assert.deepEqual(await store.findMissing([digestFor(data)]), [])
    }
  })

  rule('an abandoned upload leaves nothing, at whatever stage', async ({ store }) => {
    for (const size of [100, 3_000_000]) {
      for (const stage of ['written', 'finished'] as const) {
        const data = randomBytes(size)
        const upload = store.upload({ functions: ['SHA1'], sizeBytesMax: size })
        for (let at = 0; at < size; at += 700_000) {
          await upload.write(copyOf(data.subarray(at, at + 700_000)))
        }
        if (stage === 'finished') await upload.finish()
        await upload[Symbol.asyncDispose]()
        assert.deepEqual(await store.findMissing([digestFor(data)]), [digestFor(data)])
      }
    }
    assert.equal(store.stats().blobs, 0)
  })

  rule('an upload given up in the middle of a write leaves nothing', async ({ store }) => {
    for (let turns = 0; turns < 12; turns += 1) {
      const upload = store.upload({ functions: [], sizeBytesMax: 2 ** 40 })
      const writing = upload.write(new Uint8Array(4_000_000)).catch(() => undefined)
      for (let turn = 0; turn < turns; turn += 1) await nextTurn()
      await upload[Symbol.asyncDispose]()
      await writing
    }
    assert.equal(store.stats().blobs, 0)
  })

  rule('more bytes than allowed reject with RESOURCE_EXHAUSTED', async ({ store }) => {
    for (const limit of [10, 3_000_000]) {
      await using upload = store.upload({ functions: [], sizeBytesMax: limit })
      await upload.write(new Uint8Array(limit))
      await assert.rejects(upload.write(new Uint8Array(1)), hasCode('RESOURCE_EXHAUSTED'))
    }
    await using late = store.upload({ functions: [], sizeBytesMax: 10 })
    await assert.rejects(late.write(new Uint8Array(11)), hasCode('RESOURCE_EXHAUSTED'))
  })

  rule('concurrent uploads of the same content are one copy', async ({ store }) => {
    for (const size of [1000, 40_000, 1_500_000]) {
      const before = store.stats().blobs
      const data = randomBytes(size)
      await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          uploadAll(store, data, index % 2 ? ['BLAKE3'] : ['SHA1'], 10_000 + index * 7000),
        ),
      )
      assert.equal(store.stats().blobs, before + 1)
      for (const name of ['SHA256', 'BLAKE3', 'SHA1'] as const) {
        assert.ok((await readAll(store, digestFor(data, name))).equals(data))
      }
    }
  })
}

function propertyRules(rule: Rule): void {
  const sizes = [60, 200, 5000, 17_000, 70_000, 600_000]
  let runs = 0
  const step = fc.record({
    action: fc.constantFrom('put', 'upload', 'read', 'translate', 'find', 'reopen'),
    content: fc.nat(sizes.length - 1),
    digestFunction: fc.constantFrom(...clientDigestFunctions),
  })

  rule('any sequence of calls behaves as a map from names to bytes', async (fixture) => {
    let { store } = fixture
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        // Fresh content in every run, since the store keeps that of the runs before.
        runs += 1
        const contents = sizes.map((size, index) =>
          Buffer.alloc(size, `run ${runs}, content ${index} `),
        )
        const model = new Map<string, Buffer>()
        const learn = (data: Buffer, ...names: DigestFunction[]) => {
          for (const name of names) model.set(digestText(digestFor(data, name)), data)
        }
        for (const { action, content, digestFunction } of steps) {
          const data = contents[content] ?? Buffer.alloc(0)
          const digest = digestFor(data, digestFunction)
          const expected = model.get(digestText(digest))
          if (action === 'put') {
            await store.putBatch([nameBlob(copyOf(data), digestFunction)])
            learn(data, 'SHA256', digestFunction)
          } else if (action === 'upload') {
            await uploadAll(store, data, [digestFunction])
            learn(data, 'SHA256', digestFunction)
          } else if (action === 'read') {
            if (expected) assert.ok((await readAll(store, digest)).equals(expected))
            else await assert.rejects(readAll(store, digest), hasCode('NOT_FOUND'))
          } else if (action === 'translate') {
            const held = model.has(digestText(digestFor(data)))
            const answer = await store.translate(digestFor(data), digestFunction)
            assert.deepEqual(answer, held ? digest : undefined)
            if (held) learn(data, digestFunction)
          } else if (action === 'find') {
            assert.deepEqual(await store.findMissing([digest]), expected ? [] : [digest])
            const found = await store.findByHash(digestFunction, digest.hash)
            assert.deepEqual(found, expected && digest)
          } else if (fixture.reopen) {
            store = await fixture.reopen()
          }
        }
      }),
      { numRuns: 25 },
    )
  })
}

/** Memory of its own: `slice` of a Buffer would be a view. */
export function copyOf(data: Uint8Array): Uint8Array {
  return new Uint8Array(data)
}
