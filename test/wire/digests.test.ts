import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AssetError } from '../../src/asset/errors.ts'
import { build } from '../../src/gen/reapi.js'
import {
  digestFromProto,
  digestFunctionFromProto,
  digestFunctionToProto,
  digestToProto,
} from '../../src/wire/digests.ts'

const { Value } = build.bazel.remote.execution.v2.DigestFunction

function refusal(work: () => unknown): AssetError {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof AssetError)
    assert.equal(error.code, 'INVALID_ARGUMENT')
    return error
  }
  assert.fail('was not refused')
}

describe('digests of the protos', () => {
  test('unset function is undefined, known ones are names', () => {
    assert.equal(digestFunctionFromProto(undefined), undefined)
    assert.equal(digestFunctionFromProto(Value.UNKNOWN), undefined)
    assert.equal(digestFunctionFromProto(Value.BLAKE3), 'BLAKE3')
    assert.equal(digestFunctionToProto('SHA512'), Value.SHA512)
  })

  test('functions that are not spoken are named in the error', () => {
    assert.match(refusal(() => digestFunctionFromProto(Value.VSO)).message, /VSO.*SHA256/)
    assert.match(refusal(() => digestFunctionFromProto(Value.GITSHA1)).message, /GITSHA1/)
    assert.match(refusal(() => digestFunctionFromProto(77 as 0)).message, /77/)
  })

  test('an absent function is taken from the length of the hash, 64 digits never being BLAKE3', () => {
    const of = (length: number) =>
      digestFromProto({ hash: 'a'.repeat(length), sizeBytes: 1 }, undefined).function
    assert.deepEqual([32, 40, 64, 96, 128].map(of), ['MD5', 'SHA1', 'SHA256', 'SHA384', 'SHA512'])
  })

  test('absent, malformed, upper-case and negative digests are refused by field', () => {
    const hash = 'a'.repeat(64)
    const field = 'blob_digest'
    const bad = [null, { hash: 'x' }, { hash: hash.toUpperCase() }, { hash, sizeBytes: -1 }]
    for (const message of bad) {
      const error = refusal(() => digestFromProto(message, undefined, field))
      assert.ok(error.violations[0]?.field.startsWith(field))
    }
    refusal(() => digestFromProto({ hash: 'a'.repeat(40) }, 'SHA256'))
  })

  test('there and back', () => {
    const message = { hash: 'b'.repeat(64), sizeBytes: 2 ** 40 }
    assert.deepEqual(digestToProto(digestFromProto(message, 'BLAKE3')), message)
  })
})
