import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { parseAssetUris } from '../../src/asset/asset-uri.ts'
import { headersForUri } from '../../src/asset/origin-headers.ts'
import {
  knownQualifiers,
  parseQualifiers,
  type Qualifier,
  qualifierBytesMax,
  qualifiersMax,
  unsupportedQualifiers,
  withHeaders,
  withoutQualifiers,
  withQualifier,
} from '../../src/asset/qualifiers.ts'
import { errorOf, isSafe } from '../fixtures/asset-errors.ts'

const sri = 'sha256-VZjikgcmWSaZsq0zg8QBEMp/xzUe04TZP5hiJxpyfM0='

function pairs(...entries: readonly (readonly [string, string])[]): Qualifier[] {
  return entries.map(([name, value]) => ({ name, value }))
}

/** The headers for each URI of a request, as `name: value, value`. */
function sentHeaders(qualifiers: readonly Qualifier[], ...uris: string[]): string[][] {
  const { headers } = parseQualifiers(qualifiers)
  return parseAssetUris(uris).map((uri, index) =>
    [...headersForUri(headers, uri, index)].map(
      ([name, values]) => `${name}: ${values.map((value) => value.reveal()).join(', ')}`,
    ),
  )
}

describe('the qualifiers of a request', () => {
  test('are sorted and taken apart', () => {
    const qualifiers = parseQualifiers(
      pairs(['vcs.tag', 'v1'], ['x', ''], ['http_header:A', 'b'], ['checksum.sri', sri]),
    )
    assert.deepEqual(qualifiers.stable, pairs(['checksum.sri', sri], ['vcs.tag', 'v1'], ['x', '']))
    assert.equal(qualifiers.value('vcs.tag'), 'v1')
    assert.equal(qualifiers.value('vcs.branch'), undefined)
    assert.deepEqual(qualifiers.integrity?.functions, ['SHA256'])
    assert.deepEqual(qualifiers.unknownNames, ['x'])
    assert.equal(qualifiers.headers.length, 1)
  })

  test('mean the same in any order', () => {
    const qualifier = fc.record({
      name: fc.constantFrom('a', 'b', 'B', '', 'é', '😀', ...knownQualifiers).map((n) => `${n}.`),
      value: fc.string(),
    })
    const list = fc.uniqueArray(qualifier, { selector: ({ name }) => name })
    const shuffled = list.chain((all) =>
      fc.tuple(
        fc.constant(all),
        fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
      ),
    )
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        assert.deepEqual(parseQualifiers(one).stable, parseQualifiers(other).stable)
      }),
    )
  })

  test('may be repeated with the same value, not with another', () => {
    assert.equal(parseQualifiers(pairs(['a', '1'], ['a', '1'])).stable.length, 1)
    const error = errorOf(() => parseQualifiers(pairs(['vcs.tag', 'v1'], ['vcs.tag', 'v2'])))
    assert.match(error.message, /"vcs\.tag" is given twice/)
    errorOf(() => parseQualifiers(pairs(['checksum.sri', sri], ['checksum.sri', `${sri} `])))
  })

  test('have names', () => {
    errorOf(() => parseQualifiers(pairs(['', 'x'])))
  })

  test('are 64 at most', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `n${index}`, value: '' }))
    assert.equal(parseQualifiers(many(qualifiersMax)).stable.length, qualifiersMax)
    assert.match(
      errorOf(() => parseQualifiers(many(100_000))).message,
      /at most 64 are accepted, got 100000/,
    )
  })

  test('are 64 KiB together at most, counted in bytes, headers included', () => {
    const fits = pairs(['n', 'v'.repeat(qualifierBytesMax - 1)])
    assert.equal(parseQualifiers(fits).stable.length, 1)
    errorOf(() => parseQualifiers([...fits, ...pairs(['m', ''])]))
    errorOf(() => parseQualifiers(pairs(['n', 'é'.repeat(qualifierBytesMax / 2)])))
    const ten = 'x'.repeat(10_000_000)
    for (const name of ['n', 'checksum.sri', 'http_header:A', 'bazel.auth_headers']) {
      const error = errorOf(() => parseQualifiers(pairs([name, ten])))
      assert.ok(error.message.length < 500)
    }
    errorOf(() => parseQualifiers(pairs([ten, ''])))
  })

  test('can be changed without touching the original', () => {
    const before = parseQualifiers(
      pairs(['checksum.sri', sri], ['directory', 'a'], ['http_header:A', 'b']),
    )
    const without = withoutQualifiers(before, ['directory'])
    assert.deepEqual(without.stable, pairs(['checksum.sri', sri]))
    assert.deepEqual(without.integrity, before.integrity)
    assert.equal(without.headers.length, 1)
    const changed = withQualifier(before, 'directory', 'z')
    assert.equal(changed.value('directory'), 'z')
    assert.equal(before.value('directory'), 'a')
    assert.equal(withHeaders(before, []).headers.length, 0)
    assert.deepEqual(withHeaders(before, []).stable, before.stable)
  })

  test('that cannot be honoured are refused one by one, in the words of the API', () => {
    const error = unsupportedQualifiers(['foo', 'bar"'])
    assert.equal(error.code, 'INVALID_ARGUMENT')
    assert.deepEqual(error.violations, [
      { field: 'qualifiers.name', description: '"foo" not supported' },
      { field: 'qualifiers.name', description: '"bar\\"" not supported' },
    ])
  })
})

describe('header qualifiers', () => {
  const [first, second] = ['https://127.0.0.1:1/a/x.bin', 'https://example.invalid/b/x.bin']

  test('bazel.auth_headers as Bazel 4.2.3 sends it goes to the URL it names', () => {
    const value =
      '{"https://127.0.0.1:1/a/x.bin":{"Authorization":"Basic Ym9iOmh1bnRlcjI\\u003d"},' +
      '"https://example.invalid/b/x.bin":{"Authorization":"Bearer tok123"}}'
    const qualifiers = pairs(['bazel.auth_headers', value])
    assert.deepEqual(sentHeaders(qualifiers, second, 'urn:other', first), [
      ['authorization: Bearer tok123'],
      [],
      ['authorization: Basic Ym9iOmh1bnRlcjI='],
    ])
    assert.deepEqual(parseQualifiers(qualifiers).stable, [])
  })

  test('a key of bazel.auth_headers is compared with the URI as sent, password included', () => {
    const uri = 'https://u:p@h/x'
    const qualifiers = pairs(['bazel.auth_headers', JSON.stringify({ [uri]: { A: 'b' } })])
    assert.deepEqual(sentHeaders(qualifiers, uri, 'https://h/x'), [
      ['authorization: Basic dTpw', 'a: b'],
      [],
    ])
  })

  test('no key of bazel.auth_headers means more than one URL', () => {
    for (const key of ['all', '0', '*', '__proto__']) {
      const value = `{"${key}":{"Authorization":"x"}}`
      assert.deepEqual(sentHeaders(pairs(['bazel.auth_headers', value]), first), [[]])
    }
  })

  test('http_header goes to every URI, user and password of a URI only to it', () => {
    assert.deepEqual(sentHeaders(pairs(['http_header:X-A', '1']), 'https://u:p@h/', second), [
      ['authorization: Basic dTpw', 'x-a: 1'],
      ['x-a: 1'],
    ])
    assert.deepEqual(
      sentHeaders(pairs(['http_header:AUTHORIZATION', 'Bearer t']), 'https://u:p@h/'),
      [['authorization: Bearer t']],
    )
  })

  test('http_header_url goes to one URI, wins over http_header, and may repeat a name', () => {
    const qualifiers = pairs(
      ['http_header_url:1:Accept', 'a/b'],
      ['http_header:accept', '*/*'],
      ['http_header_url:1:ACCEPT', 'c/d'],
    )
    assert.deepEqual(sentHeaders(qualifiers, first, second), [
      ['accept: */*'],
      ['accept: a/b, c/d'],
    ])
  })

  test('an index beyond the URIs is ignored', () => {
    const qualifiers = pairs(['http_header_url:7:A', 'x'], ['http_header_url:999999:A', 'x'])
    assert.deepEqual(sentHeaders(qualifiers, first, second), [[], []])
  })

  const badNames = [
    'http_header:',
    'http_header:A B',
    'http_header:A:',
    'http_header:A\r\nX',
    'http_header_url:',
    'http_header_url:0',
    'http_header_url::A',
    'http_header_url:-1:A',
    'http_header_url:1e3:A',
    'http_header_url:1234567:A',
    'http_header_url:0:',
    'http_header_url:0:A\n',
  ]
  for (const name of badNames) {
    test(`the name ${JSON.stringify(name)} is refused`, () => {
      const error = errorOf(() => parseQualifiers(pairs([name, 'SENTINEL'])))
      assert.equal(error.violations[0]?.field, 'qualifiers.name')
      assert.doesNotMatch(inspect(error), /SENTINEL/)
    })
  }

  const refused =
    'Range If-Range If-Match If-None-Match If-Modified-Since If-Unmodified-Since Host Connection ' +
    'Content-Length Transfer-Encoding Accept-Encoding Upgrade TE Trailer Expect Keep-Alive ' +
    'Proxy-Authorization'
  for (const name of refused.split(' ')) {
    test(`the header ${name} is refused in every form and case`, () => {
      for (const written of [name, name.toLowerCase(), name.toUpperCase()]) {
        errorOf(() => parseQualifiers(pairs([`http_header:${written}`, 'bytes=0-1'])))
        errorOf(() => parseQualifiers(pairs([`http_header_url:0:${written}`, 'bytes=0-1'])))
        const value = JSON.stringify({ [first]: { [written]: 'bytes=0-1' } })
        errorOf(() => parseQualifiers(pairs(['bazel.auth_headers', value])))
      }
    })
  }

  const badValues = ['a\r\nX-Injected: 1', 'a\nb', 'a\0b', 'a\x7fb', 'a€b', '\ud800']
  for (const value of badValues) {
    test(`the value ${JSON.stringify(value)} is refused and not repeated`, () => {
      const sent = `SENTINEL${value}`
      for (const name of ['http_header:A', 'http_header_url:0:A']) {
        const error = errorOf(() => parseQualifiers(pairs([name, sent])))
        assert.doesNotMatch(inspect(error), /SENTINEL|Injected/)
      }
      const json = JSON.stringify({ [first]: { A: sent } })
      errorOf(() => parseQualifiers(pairs(['bazel.auth_headers', json])))
    })
  }

  test('tabs and Latin-1 are values', () => {
    assert.deepEqual(sentHeaders(pairs(['http_header:A', 'a\tb ÿ']), first), [['a: a\tb ÿ']])
  })
})

describe('secrets', () => {
  const notJson = ['SENTINEL', '"SENTINEL"', '["SENTINEL"]', 'null', '1', '{"SENTINEL":1}']
  const wrongShape = [
    '{"u":{"A":["SENTINEL"]}}',
    '{"u":{"A":{"SENTINEL":1}}}',
    '{"u":["SENTINEL"]}',
  ]
  const wrongHeader = [
    '{"SENTINEL":{"A B":"x"}}',
    '{"SENTINEL":{"Range":"SENTINEL"}}',
    '{"SENTINEL',
  ]
  for (const value of [...notJson, ...wrongShape, ...wrongHeader]) {
    test(`bazel.auth_headers ${value} is refused and not repeated`, () => {
      const error = errorOf(() => parseQualifiers(pairs(['bazel.auth_headers', value])))
      const printed = [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)]
      assert.doesNotMatch(printed.join(), /SENTINEL/)
    })
  }

  test('of a request print nowhere', () => {
    const qualifiers = parseQualifiers(
      pairs(
        ['http_header:Authorization', 'Bearer SENTINEL'],
        ['http_header_url:0:Cookie', 'SENTINEL'],
        ['bazel.auth_headers', '{"https://u:SENTINEL@h/":{"A":"SENTINEL"}}'],
      ),
    )
    const [uri] = parseAssetUris(['https://u:SENTINEL@h/'])
    assert.ok(uri)
    const sent = headersForUri(qualifiers.headers, uri, 0)
    assert.equal(sent.size, 3)
    const printed = [
      inspect([qualifiers, sent, uri], { depth: 9, showHidden: true }),
      JSON.stringify([qualifiers, [...sent], uri]),
      `${[...sent.values()]}`,
    ]
    assert.doesNotMatch(printed.join(), /SENTINEL/)
  })
})

test('no qualifiers make it throw anything but INVALID_ARGUMENT', () => {
  const name = fc.oneof(
    fc.constantFrom(...knownQualifiers, 'bazel.auth_headers', 'http_header:A', '__proto__'),
    fc.string({ unit: 'binary' }).map((text) => `http_header:${text}`),
    fc.string({ unit: 'binary' }).map((text) => `http_header_url:${text}`),
    fc.string(),
  )
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.constant(sri))
  const list = fc.array(fc.record({ name, value }), { maxLength: 70 })
  fc.assert(fc.property(list, (qualifiers) => isSafe(() => parseQualifiers(qualifiers))))
})
