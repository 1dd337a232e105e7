import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../src/config/durations.ts'
import { listenAddressText, parseListenAddress } from '../../src/config/listen-address.ts'
import { formatSize, parseSize } from '../../src/config/sizes.ts'

describe('sizes', () => {
  test('any number of bytes survives being written and read', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => assert.equal(parseSize(formatSize(bytes)), bytes)),
    )
  })
  test('units are decimal or binary, as they say', () => {
    assert.equal(parseSize('10GiB'), 10 * 1024 ** 3)
    assert.equal(parseSize('10 GB'), 10_000_000_000)
    assert.equal(parseSize('1.5KiB'), 1536)
    assert.equal(parseSize('7'), 7)
    assert.equal(formatSize(100 * 1024 ** 3), '100GiB')
  })
  for (const text of ['', '-1', '10g', 'GiB', '1e9', '9999999TiB', '1GiB 2MiB', '0x10']) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseSize(text), RangeError))
  }
})

describe('durations', () => {
  test('any number of milliseconds survives being written and read', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)),
    )
  })
  test('units add up', () => {
    assert.equal(parseDuration('1h30m'), 5_400_000)
    assert.equal(parseDuration('1.5s'), 1500)
    assert.equal(parseDuration('250ms'), 250)
    assert.equal(parseDuration('0'), 0)
    assert.equal(formatDuration(600_000), '10m')
  })
  for (const text of ['', '10', '-1s', '1w', 's', '1 s', '99999999999999d']) {
    test(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseDuration(text), RangeError))
  }
})

describe('listen addresses', () => {
  for (const text of [
    '127.0.0.1:8981',
    '[::1]:0',
    'unix:/run/larder.sock',
    'build.example:65535',
  ]) {
    test(`reads ${text}`, () => assert.equal(listenAddressText(parseListenAddress(text)), text))
  }
  test('no host means all addresses', () =>
    assert.deepEqual(parseListenAddress(':80'), { kind: 'tcp', host: '::', port: 80 }))
  for (const text of ['', '8981', 'host', 'host:70000', '::1:80', 'unix:relative', 'http://a:1']) {
    test(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parseListenAddress(text), RangeError))
  }
})
