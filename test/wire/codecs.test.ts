import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { build, google } from '../../src/gen/reapi.js'

const { Digest, Directory } = build.bazel.remote.execution.v2
const emptySha256 = createHash('sha256').digest('hex')

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Bytes of a string field, written by hand: tag, length, text. */
function stringField(tag: number, text: string): string {
  return hex(Buffer.concat([Buffer.from([tag, text.length]), Buffer.from(text)]))
}

describe('generated codecs', () => {
  test('a Directory has canonical bytes: tag order, no defaults', () => {
    const bytes = Directory.encode({
      symlinks: [{ target: 'a', name: 'l' }],
      directories: [{ name: 'd', digest: { hash: emptySha256, sizeBytes: 0 } }],
      files: [
        { name: 'a', isExecutable: false, digest: { sizeBytes: 5, hash: 'ab' } },
        { isExecutable: true, name: 'b', digest: { hash: '', sizeBytes: 0 } },
      ],
    }).finish()
    const digestA = `12${'06'}${stringField(0x0a, 'ab')}1005`
    const fileA = `0a0b${stringField(0x0a, 'a')}${digestA}`
    const fileB = `0a07${stringField(0x0a, 'b')}12002001`
    const directory = `1247${stringField(0x0a, 'd')}1242${stringField(0x0a, emptySha256)}`
    const symlink = `1a06${stringField(0x0a, 'l')}${stringField(0x12, 'a')}`
    assert.equal(hex(bytes), fileA + fileB + directory + symlink)
  })

  test('an empty Directory is the empty blob', () => {
    assert.equal(Directory.encode({ files: [], directories: [] }).finish().length, 0)
  })

  test('fields that are not known are skipped', () => {
    const decoded = Digest.decode(Buffer.from('0a02616210059a0303787878', 'hex'))
    assert.equal(decoded.hash, 'ab')
    assert.equal(decoded.sizeBytes, 5)
  })

  const sizes: readonly (readonly [number, string])[] = [
    [0, ''],
    [1, '1001'],
    [2 ** 31, '108080808008'],
    [2 ** 32 + 5, '108580808010'],
    [2 ** 53 - 1, '10ffffffffffffff0f'],
    [-1, '10ffffffffffffffffff01'],
    [-(2 ** 40), '108080808080e0ffffff01'],
  ]
  for (const [size, expected] of sizes) {
    test(`int64 ${size} is a plain number both ways`, () => {
      const bytes = Digest.encode({ sizeBytes: size }).finish()
      assert.equal(hex(bytes), expected)
      assert.equal(Digest.decode(bytes).sizeBytes, size)
    })
  }

  const beyond = {
    '2^53': '108080808080808010',
    '2^53 + 1': '108180808080808010',
    '2^63 - 1': '10ffffffffffffffff7f',
    '-2^63': '1080808080808080808001',
  }
  for (const [name, bytes] of Object.entries(beyond)) {
    test(`int64 ${name} is refused, not rounded`, () => {
      assert.throws(() => Digest.decode(Buffer.from(bytes, 'hex')), RangeError)
    })
  }

  test('uint64 beyond 2^53 is refused as well', () => {
    const { FastCdc2020Params } = build.bazel.remote.execution.v2
    const bytes = Buffer.from('08ffffffffffffffffff01', 'hex')
    assert.throws(() => FastCdc2020Params.decode(bytes), RangeError)
    assert.equal(FastCdc2020Params.decode(Buffer.from('08808020', 'hex')).avgChunkSizeBytes, 524288)
  })

  test('a BigInt, a fraction or NaN is refused when encoding, not written as 0', () => {
    for (const sizeBytes of [5n, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => Digest.encode({ sizeBytes: sizeBytes as number }).finish(), RangeError)
    }
  })

  test('decoded bytes of a WriteRequest are the data that was sent', () => {
    const data = Buffer.from([0, 255, 7])
    const { WriteRequest } = google.bytestream
    const decoded = WriteRequest.decode(
      WriteRequest.encode({ resourceName: 'r', data, writeOffset: 2 ** 40 }).finish(),
    )
    assert.deepEqual(Buffer.from(decoded.data), data)
    assert.equal(decoded.writeOffset, 2 ** 40)
    assert.equal(decoded.finishWrite, false)
  })
})
