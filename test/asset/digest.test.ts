import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  clientDigestFunctions,
  type DigestFunction,
  digestText,
  emptyDigest,
  hashLength,
  inferDigestFunction,
  isEmptyDigest,
  parseDigest,
  quoteShort,
  sameDigest,
} from '../../src/asset/digest.ts'
import { hashBytes } from '../../src/util/hasher.ts'
import { errorOf, isSafe } from '../fixtures/asset-errors.ts'

const functions: readonly DigestFunction[] = [...clientDigestFunctions, 'GITSHA1']

for (const digestFunction of functions) {
  const bytes = Buffer.from('larder')
  const hash = hashBytes(digestFunction, bytes)

  test(`${digestFunction}: a computed hash is a digest, and nothing near it is`, () => {
    assert.deepEqual(parseDigest(digestFunction, hash, 6), {
      function: digestFunction,
      hash,
      sizeBytes: 6,
    })
    const upper = hash.toUpperCase()
    for (const bad of ['', hash.slice(1), `${hash}0`, ` ${hash.slice(1)}`, `${hash.slice(1)}g`]) {
      errorOf(() => parseDigest(digestFunction, bad, 6))
    }
    errorOf(() => parseDigest(digestFunction, upper, 6))
    errorOf(() => parseDigest(digestFunction, `${hash.slice(1)}\n`, 6))
  })

  test(`${digestFunction}: the empty digest is that of no bytes`, () => {
    const empty = emptyDigest(digestFunction)
    assert.equal(empty.hash, hashBytes(digestFunction, new Uint8Array(0)))
    assert.equal(empty.hash.length, hashLength(digestFunction))
    assert.ok(isEmptyDigest(empty))
    assert.ok(!isEmptyDigest({ ...empty, sizeBytes: 1 }))
    assert.ok(!isEmptyDigest({ function: digestFunction, hash, sizeBytes: 0 }))
  })
}

test('a size is a whole number from 0 to 2^53 - 1', () => {
  const { hash } = emptyDigest('SHA256')
  for (const good of [0, 1, 2 ** 53 - 1]) {
    assert.equal(parseDigest('SHA256', hash, good).sizeBytes, good)
  }
  for (const bad of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
    const error = errorOf(() => parseDigest('SHA256', hash, bad, 'blob_digest'))
    assert.equal(error.violations[0]?.field, 'blob_digest.size_bytes')
  }
})

test('the error names the field and quotes the hash, cut short', () => {
  const error = errorOf(() => parseDigest('SHA1', 'x'.repeat(1_000_000), 0, 'root'))
  assert.equal(error.violations[0]?.field, 'root.hash')
  assert.match(error.message, /^root\.hash: expected 40 lower-case hex digits of SHA1/)
  assert.ok(error.message.length < 500)
})

test('a function is inferred from the length of a hash, 64 digits being SHA256', () => {
  const inferred: Readonly<Record<number, DigestFunction>> = {
    32: 'MD5',
    40: 'SHA1',
    64: 'SHA256',
    96: 'SHA384',
    128: 'SHA512',
    0: 'SHA256',
  }
  for (const [length, digestFunction] of Object.entries(inferred)) {
    assert.equal(inferDigestFunction('0'.repeat(Number(length))), digestFunction)
  }
})

test('texts and comparison tell functions apart', () => {
  const { hash } = emptyDigest('SHA256')
  const sha256 = parseDigest('SHA256', hash, 3)
  const blake3 = parseDigest('BLAKE3', hash, 3)
  assert.equal(digestText(sha256), `${hash}/3`)
  assert.equal(digestText(blake3), `blake3/${hash}/3`)
  assert.ok(sameDigest(sha256, { ...sha256 }))
  assert.ok(!sameDigest(sha256, blake3))
  assert.ok(!sameDigest(sha256, { ...sha256, sizeBytes: 4 }))
})

test('quoted text is one printable line, whatever the client sent', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const quoted = quoteShort(text)
      assert.doesNotMatch(quoted, /[\n\r]/)
      assert.ok(quoted.isWellFormed())
    }),
  )
})

test('no hash of any kind makes it throw anything but INVALID_ARGUMENT', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...functions),
      fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-fA-F]{30,130}$/)),
      fc.oneof(fc.double(), fc.integer()),
      (digestFunction, hash, size) => isSafe(() => parseDigest(digestFunction, hash, size)),
    ),
  )
})
