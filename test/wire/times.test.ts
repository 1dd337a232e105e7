import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  durationFromProto,
  durationToProto,
  timestampFromProto,
  timestampToProto,
} from '../../src/wire/times.ts'

const invalid = { code: 'INVALID_ARGUMENT' }

describe('times of the protos', () => {
  test('absent stays absent', () => {
    assert.equal(timestampFromProto(null, 'f'), undefined)
    assert.equal(durationFromProto(undefined, 'f'), undefined)
  })

  test('timestamps round down, before 1970 too', () => {
    assert.equal(timestampFromProto({ seconds: 5, nanos: 1_999_999 }, 'f'), 5001)
    assert.equal(timestampFromProto({ seconds: -1, nanos: 500_000_000 }, 'f'), -500)
    assert.equal(timestampFromProto({}, 'f'), 0)
  })

  test('durations round up, so that a little is not nothing', () => {
    assert.equal(durationFromProto({ nanos: 1 }, 'f'), 1)
    assert.equal(durationFromProto({ seconds: 60 }, 'f'), 60_000)
  })

  test('what is out of range is refused by field', () => {
    const bad = [{ seconds: 253_402_300_800 }, { seconds: -62_135_596_801 }, { nanos: -1 }]
    for (const message of [...bad, { nanos: 1e9 }]) {
      assert.throws(() => timestampFromProto(message, 'expire_at'), {
        ...invalid,
        message: /^expire_at/,
      })
    }
    for (const message of [{ seconds: -1 }, { nanos: -1 }, { seconds: 315_576_000_001 }]) {
      assert.throws(() => durationFromProto(message, 'timeout'), {
        ...invalid,
        message: /^timeout/,
      })
    }
  })

  test('there and back', () => {
    for (const timeMs of [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000]) {
      assert.equal(timestampFromProto(timestampToProto(timeMs), 'f'), timeMs)
    }
    for (const durationMs of [0, 1, 999, 1000, 90_061_001]) {
      assert.equal(durationFromProto(durationToProto(durationMs), 'f'), durationMs)
    }
  })

  test('a time that the proto cannot hold becomes the nearest', () => {
    assert.equal(timestampToProto(1e18).seconds, 253_402_300_799)
    assert.equal(timestampToProto(-1e18).seconds, -62_135_596_800)
  })
})
