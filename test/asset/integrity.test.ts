import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { clientDigestFunctions, hashLength } from '../../src/asset/digest.ts'
import { integrityEntryText, parseIntegrity, satisfies } from '../../src/asset/integrity.ts'
import { hashBytes } from '../../src/util/hasher.ts'
import { errorOf, isSafe } from '../fixtures/asset-errors.ts'

const content = Buffer.from('content')

function sri(digestFunction: (typeof clientDigestFunctions)[number], bytes = content): string {
  return integrityEntryText({ function: digestFunction, hash: hashBytes(digestFunction, bytes) })
}

describe('checksum.sri', () => {
  test('the single entry that Bazel sends', () => {
    const { entries, functions } = parseIntegrity(
      'sha256-VZjikgcmWSaZsq0zg8QBEMp/xzUe04TZP5hiJxpyfM0=',
    )
    const hash = '5598e2920726592699b2ad3383c40110ca7fc7351ed384d93f9862271a727ccd'
    assert.deepEqual(entries, [{ function: 'SHA256', hash }])
    assert.deepEqual(functions, ['SHA256'])
  })

  for (const digestFunction of clientDigestFunctions) {
    test(`the algorithm ${digestFunction.toLowerCase()}`, () => {
      const [entry] = parseIntegrity(sri(digestFunction)).entries
      assert.deepEqual(entry, {
        function: digestFunction,
        hash: hashBytes(digestFunction, content),
      })
    })
  }

  test('a list of alternatives, any white space between and around', () => {
    const text = `\t ${sri('SHA256')}\n${sri('BLAKE3')}  \r\n${sri('SHA256', Buffer.from('x'))} `
    const { entries, functions } = parseIntegrity(text)
    assert.equal(entries.length, 3)
    assert.deepEqual(functions, ['SHA256', 'BLAKE3'])
  })

  test('bare base64 and unknown algorithms, as Please sends them, are skipped', () => {
    const bare = Buffer.from(hashBytes('SHA256', content), 'hex').toString('base64')
    const text = `${bare} crc32-AAAA xxhash-${bare} ${sri('SHA1')} - -x`
    assert.deepEqual(
      parseIntegrity(text).entries.map((entry) => entry.function),
      ['SHA1'],
    )
  })

  test('names that every object has are unknown algorithms and no more', () => {
    const text = `constructor-AAAA __proto__-AAAA toString-AAAA ${sri('SHA256')}`
    assert.equal(parseIntegrity(text).entries.length, 1)
    errorOf(() => parseIntegrity('constructor-AAAA'))
  })

  test('options after "?" are left out', () => {
    assert.deepEqual(
      parseIntegrity(`${sri('SHA384')}?foo=bar?baz`).entries,
      parseIntegrity(sri('SHA384')).entries,
    )
  })

  test('base64 without its padding is the same hash', () => {
    assert.deepEqual(
      parseIntegrity(sri('SHA256').replaceAll('=', '')).entries,
      parseIntegrity(sri('SHA256')).entries,
    )
  })

  const useless = {
    nothing: '',
    'white space': ' \n\t',
    'bare base64': 'VZjikgcmWSaZsq0zg8QBEMp/xzUe04TZP5hiJxpyfM0=',
    'an algorithm in capitals, which SRI does not know': sri('SHA256').replace('sha256', 'SHA256'),
    'only unknown algorithms': 'crc32-AAAA sha3-AAAA',
  }
  for (const [what, text] of Object.entries(useless)) {
    test(`no usable entry: ${what}`, () => {
      const error = errorOf(() => parseIntegrity(text))
      assert.match(error.message, /no usable entry/)
      assert.equal(error.violations[0]?.field, 'qualifiers.value')
    })
  }

  const wrong = {
    'a hash of another length': sri('SHA1').replace('sha1', 'sha256'),
    'no hash': 'sha256-',
    'hex instead of base64': `sha256-${hashBytes('SHA256', content)}`,
    'base64 for URLs': 'sha256-VZjikgcmWSaZsq0zg8QBEMp_xzUe04TZP5hiJxpyfM0=',
    'padding in the middle': 'sha256-VZjikgcmWSaZsq0zg8Q=EMp/xzUe04TZP5hiJxpyfM0=',
    'a second dash': 'sha256--VZjikgcmWSaZsq0zg8QBEMp/xzUe04TZP5hiJxpyfM0=',
    'a comma for a separator': `${sri('SHA256')},${sri('SHA256')}`,
  }
  for (const [what, text] of Object.entries(wrong)) {
    test(`a known algorithm with ${what} is refused, beside a good entry too`, () => {
      errorOf(() => parseIntegrity(text))
      errorOf(() => parseIntegrity(`${sri('SHA512')} ${text}`))
    })
  }

  test('one match satisfies, whatever the others say; no match does not', () => {
    const integrity = parseIntegrity(`${sri('SHA1', Buffer.from('other'))} ${sri('SHA512')}`)
    const hashes = (bytes: Buffer) =>
      new Map(clientDigestFunctions.map((name) => [name, hashBytes(name, bytes)]))
    assert.ok(satisfies(integrity, hashes(content)))
    assert.ok(satisfies(integrity, hashes(Buffer.from('other'))))
    assert.ok(!satisfies(integrity, hashes(Buffer.from('third'))))
    assert.ok(!satisfies(integrity, new Map()))
  })

  test('a hash under one function never answers for another of the same length', () => {
    const integrity = parseIntegrity(sri('BLAKE3'))
    assert.ok(!satisfies(integrity, new Map([['SHA256', hashBytes('BLAKE3', content)]])))
  })
})

const entry = fc
  .constantFrom(...clientDigestFunctions)
  .chain((name) =>
    fc
      .uint8Array({ minLength: hashLength(name) / 2, maxLength: hashLength(name) / 2 })
      .map((bytes) => ({ function: name, hash: Buffer.from(bytes).toString('hex') })),
  )

test('any list of entries comes back as it was written', () => {
  fc.assert(
    fc.property(
      fc.array(entry, { minLength: 1, maxLength: 12 }),
      fc.stringMatching(/^[ \t\n\r]+$/),
      (entries, space) => {
        const parsed = parseIntegrity(entries.map(integrityEntryText).join(space))
        assert.deepEqual(parsed.entries, entries)
        assert.deepEqual(parsed.functions, [...new Set(entries.map((each) => each.function))])
      },
    ),
  )
})

test('no text makes it throw anything but INVALID_ARGUMENT', () => {
  const algorithm = fc.constantFrom('sha256', 'md5', 'blake3', 'constructor', 'x', '')
  const token = fc
    .tuple(algorithm, fc.base64String({ maxLength: 100 }), fc.string())
    .map(([name, base64, rest]) => `${name}-${base64}${rest}`)
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(token).map((tokens) => tokens.join(' ')),
  )
  fc.assert(fc.property(text, (value) => isSafe(() => parseIntegrity(value))))
})

test('a list as long as all qualifiers may be is taken or refused, with a short message', () => {
  const entries = Array.from({ length: 2000 }, (_, index) => sri('MD5', Buffer.from(`${index}`)))
  assert.equal(parseIntegrity(entries.join(' ')).entries.length, 2000)
  const error = errorOf(() => parseIntegrity('?'.repeat(64 * 1024)))
  assert.ok(error.message.length < 1000)
})
