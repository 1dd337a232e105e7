import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { clientDigestFunctions, hashLength } from '../../src/asset/digest.ts'
import { AssetError } from '../../src/asset/errors.ts'
import {
  formatReadName,
  formatWriteName,
  parseReadName,
  parseWriteName,
} from '../../src/services/resource-name.ts'

const sha256 = 'a1'.repeat(32)
const keywords = [
  'blobs',
  'uploads',
  'actions',
  'actionResults',
  'operations',
  'capabilities',
  'compressed-blobs',
]

const instances = fc
  .array(
    fc
      .string({ minLength: 1, maxLength: 12 })
      .filter((segment) => !segment.includes('/') && !keywords.includes(segment)),
    { maxLength: 4 },
  )
  .map((segments) => segments.join('/'))

const digests = fc
  .tuple(
    fc.constantFrom(...clientDigestFunctions),
    fc.uint8Array({ minLength: 64, maxLength: 64 }),
    fc.maxSafeNat(),
  )
  .map(([digestFunction, bytes, sizeBytes]) => ({
    function: digestFunction,
    hash: Buffer.from(bytes).toString('hex').slice(0, hashLength(digestFunction)),
    sizeBytes,
  }))

const resources = fc
  .tuple(instances, fc.constantFrom('IDENTITY' as const, 'ZSTD' as const), digests)
  .map(([instance, compressor, digest]) => ({ instance, compressor, digest }))

function isInvalidArgument(error: unknown): boolean {
  return error instanceof AssetError && error.code === 'INVALID_ARGUMENT'
}

describe('resource names', () => {
  test('a read name says what it was made of', () => {
    fc.assert(
      fc.property(resources, (resource) => {
        assert.deepEqual(parseReadName(formatReadName(resource)), resource)
      }),
    )
  })

  test('a write name says what it was made of, whatever metadata follows', () => {
    const metadata = fc.array(fc.string({ maxLength: 8 }), { maxLength: 3 })
    fc.assert(
      fc.property(resources, fc.uuid(), metadata, (resource, uploadId, extra) => {
        const upload = { ...resource, uploadId }
        const name = [formatWriteName(upload), ...extra].join('/')
        assert.deepEqual(parseWriteName(name), upload)
      }),
    )
  })

  test('garbage is INVALID_ARGUMENT and nothing else', () => {
    const segment = fc.oneof(
      fc.string(),
      fc.constantFrom(...keywords, 'zstd', 'blake3', 'sha256', sha256, '0', '12', '-1', '1e3', ''),
    )
    const names = fc.oneof(
      fc.string(),
      fc.array(segment, { maxLength: 9 }).map((segments) => segments.join('/')),
    )
    fc.assert(
      fc.property(names, (name) => {
        for (const parse of [parseReadName, parseWriteName]) {
          try {
            parse(name)
          } catch (error) {
            assert.ok(isInvalidArgument(error), String(error))
          }
        }
      }),
      { numRuns: 2000 },
    )
  })

  const accepted: [string, string][] = [
    [`blobs/${sha256}/5`, `blobs/${sha256}/5`],
    [`/blobs/${sha256}/5`, `blobs/${sha256}/5`],
    [`a/b.example.com/blobs/${sha256}/5`, `a/b.example.com/blobs/${sha256}/5`],
    [`blobs/sha256/${sha256}/5`, `blobs/${sha256}/5`],
    [`blobs/blake3/${sha256}/5`, `blobs/blake3/${sha256}/5`],
    [`i/compressed-blobs/zstd/blake3/${sha256}/5`, `i/compressed-blobs/zstd/blake3/${sha256}/5`],
    [`blobs/${'0'.repeat(40)}/5`, `blobs/${'0'.repeat(40)}/5`],
  ]
  for (const [name, canonical] of accepted) {
    test(`reads ${name.slice(0, 60)}`, () => {
      assert.equal(formatReadName(parseReadName(name)), canonical)
    })
  }

  const refused = [
    '',
    '/',
    'blobs',
    `blobs/${sha256}`,
    `blobs/${sha256}/`,
    `blobs/${sha256}/-1`,
    `blobs/${sha256}/+1`,
    `blobs/${sha256}/1.5`,
    `blobs/${sha256}/01`,
    `blobs/${sha256}/0x10`,
    `blobs/${sha256}/9007199254740992`,
    `blobs/${sha256}/99999999999999999999999999`,
    `blobs/${sha256.toUpperCase()}/5`,
    `blobs/${sha256.slice(1)}/5`,
    `blobs/${sha256}/5/more`,
    `blobs/gitsha1/${'0'.repeat(40)}/5`,
    `blobs/sha256tree/${sha256}/5`,
    `blobs/BLAKE3/${sha256}/5`,
    `blobs/sha1/${sha256}/5`,
    `compressed-blobs/${sha256}/5`,
    `compressed-blobs/identity/${sha256}/5`,
    `compressed-blobs/brotli/${sha256}/5`,
    `actions/${sha256}/5`,
    `uploads/u/blobs/${sha256}/5`,
    `${'x/'.repeat(10_000)}blobs/${sha256}/5`,
  ]
  for (const name of refused) {
    test(`refuses to read ${JSON.stringify(name.slice(0, 60))}`, () => {
      assert.throws(() => parseReadName(name), isInvalidArgument)
    })
  }

  for (const name of [
    `blobs/${sha256}/5`,
    `uploads/${sha256}/5`,
    `uploads//blobs/${sha256}/5`,
    `uploads/u/${sha256}/5`,
    `uploads/u/blobs/${sha256}`,
    `blobs/uploads/u/blobs/${sha256}/5`,
  ]) {
    test(`refuses to write ${JSON.stringify(name.slice(0, 60))}`, () => {
      assert.throws(() => parseWriteName(name), isInvalidArgument)
    })
  }

  test('the error names the field and cuts what it quotes', () => {
    assert.throws(
      () => parseReadName('x'.repeat(9000)),
      (error: unknown) =>
        error instanceof AssetError &&
        error.violations[0]?.field === 'resource_name' &&
        error.message.length < 400,
    )
  })
})
