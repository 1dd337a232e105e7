import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import {
  type AssetUri,
  displayUri,
  parseAssetUri,
  parseAssetUris,
  uriBytesMax,
  urisMax,
} from '../../src/asset/asset-uri.ts'
import { errorOf, isSafe } from '../fixtures/asset-errors.ts'

function basic(pair: string): string {
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

describe('the URIs of a request', () => {
  test('are kept as written and in order', () => {
    const texts = ['https://b.example/x?q=1#f', 'https://A.example:443/../y', 'urn:fdc:x:2020:a/b']
    assert.deepEqual(
      parseAssetUris(texts).map(({ text }) => text),
      texts,
    )
  })

  test('are 1 to 16', () => {
    assert.match(errorOf(() => parseAssetUris([])).message, /at least one/)
    assert.equal(parseAssetUris(Array(urisMax).fill('urn:x')).length, urisMax)
    const error = errorOf(() => parseAssetUris(Array(100_000).fill('urn:x')))
    assert.match(error.message, /at most 16 URIs are accepted, got 100000/)
    assert.equal(error.violations[0]?.field, 'uris')
  })

  test('are 8 KiB at most, counted in bytes', () => {
    assert.equal(parseAssetUri(`urn:${'x'.repeat(uriBytesMax - 4)}`).text.length, uriBytesMax)
    errorOf(() => parseAssetUri(`urn:${'x'.repeat(uriBytesMax - 3)}`))
    errorOf(() => parseAssetUri(`urn:${'é'.repeat(uriBytesMax / 2)}`))
    errorOf(() => parseAssetUri('x'.repeat(10_000_000)))
  })

  test('need not be URLs', () => {
    for (const text of ['artifact', 'project/element/key', 'git@host:path', '{}', 'https://[x']) {
      const uri = parseAssetUri(text)
      assert.equal(uri.text, text)
      assert.equal(uri.url, undefined)
    }
    assert.equal(parseAssetUri('urn:fdc:a').url?.protocol, 'urn:')
  })

  const refused = {
    nothing: '',
    'a space': 'https://h/a b',
    'a line feed': 'https://h/a\nb',
    'a tab, which the URL parser would drop': 'ht\ttps://h/',
    'a NUL': 'urn:\0',
    DEL: 'urn:\x7f',
    'a leading "-", which a program takes for an option': '--upload-pack=x',
    'surrounding space': ' https://h/',
  }
  for (const [what, text] of Object.entries(refused)) {
    test(`must not be ${what}`, () => {
      assert.equal(errorOf(() => parseAssetUri(text)).violations[0]?.field, 'uris')
    })
  }
})

describe('user and password in a URI', () => {
  const cases: readonly (readonly [sent: string, text: string, pair: string | undefined])[] = [
    ['https://bob:hunter2@h/x?y', 'https://h/x?y', 'bob:hunter2'],
    ['HTTPS://bob:hunter2@H/x', 'HTTPS://H/x', 'bob:hunter2'],
    ['https://ghp_token@h/x', 'https://h/x', 'ghp_token:'],
    ['https://:password@h/x', 'https://h/x', ':password'],
    ['https://a%40b:p%3Aw@h/x', 'https://h/x', 'a@b:p:w'],
    ['https://a@b:c@d@h/x', 'https://h/x', 'a@b:c@d'],
    ['https://u:%zz@h/x', 'https://h/x', 'u:%zz'],
    ['git+https://bob:hunter2@h/x.git', 'git+https://h/x.git', 'bob:hunter2'],
    ['https://@h/x', 'https://h/x', undefined],
    ['https://h/x@y:z@w', 'https://h/x@y:z@w', undefined],
    ['https://h?x=://a:b@c', 'https://h?x=://a:b@c', undefined],
    ['ssh://git@h/x', 'ssh://git@h/x', undefined],
    ['ssh://git:hunter2@h/x', 'ssh://git@h/x', undefined],
    ['git+ssh://git:hunter2@h/x', 'git+ssh://git@h/x', undefined],
    ['ssh://:hunter2@h/x', 'ssh://h/x', undefined],
    ['ssh://git:hunter2@h:path/x', 'ssh://git@h:path/x', undefined],
    ['jar:https://u:hunter2@h/x!/y', 'jar:https://h/x!/y', undefined],
    ['https://u:hunter2@[x/y', 'https://[x/y', undefined],
  ]
  for (const [sent, text, pair] of cases) {
    test(`${sent} is named ${text}`, () => {
      const uri = parseAssetUri(sent)
      assert.equal(uri.text, text)
      assert.equal(uri.sentText.reveal(), sent)
      assert.equal(uri.authorization?.reveal(), pair === undefined ? undefined : basic(pair))
      assert.equal(uri.url?.password ?? '', '')
      if (pair !== undefined) assert.equal(uri.url?.username, '')
    })
  }

  const misread = [
    'https:\\\\u:hunter2@h/x',
    'https:u:hunter2@h/x',
    'https:/u:hunter2@h/x',
    'https:///u:hunter2@h/x',
    'https:/\\u:hunter2@h/x',
    'https://u:hunter2@asked\\@named/x',
    'http://asked\\@named/x',
    'ftp:u:hunter2@h/x',
  ]
  for (const text of misread) {
    test(`${text} could be read in two ways and is refused, its password not repeated`, () => {
      assert.doesNotMatch(inspect(errorOf(() => parseAssetUri(text))), /hunter2/)
    })
  }

  test('print nowhere', () => {
    const uri = parseAssetUri('https://user-s3cret:hunter2@h/x')
    for (const text of [JSON.stringify(uri), inspect(uri, { depth: 9, showHidden: true })]) {
      assert.doesNotMatch(text, /s3cret|hunter2|dXNlci/)
    }
  })
})

describe('a URI for display', () => {
  test('has neither userinfo nor query', () => {
    assert.equal(displayUri('https://u:p@h/x?token=s#f'), 'https://h/x?…')
    assert.equal(displayUri(new URL('https://u:p@h/x?X-Amz-Signature=s')), 'https://h/x?…')
    assert.equal(displayUri('https://h/x#f'), 'https://h/x?…')
    assert.equal(displayUri('ssh://git@h/x'), 'ssh://h/x')
    assert.equal(displayUri('urn:a:b'), 'urn:a:b')
  })

  test('is short', () => {
    assert.equal(displayUri(`https://h/${'x'.repeat(8000)}`).length, 513)
  })
})

const character = fc.constantFrom(...'ab:/\\@?#.%[]-+é'.split(''))
const uriText = fc
  .tuple(
    fc.constantFrom('https:', 'http:', 'ssh:', 'git+https:', 'ftp:', 'urn:', 'jar:https:', ''),
    fc.constantFrom('//', '', '/', '///', '\\\\'),
    fc.string({ unit: character, maxLength: 24 }),
  )
  .map((parts) => parts.join(''))

function parsedOrUndefined(text: string): AssetUri | undefined {
  try {
    return parseAssetUri(text)
  } catch {
    return undefined
  }
}

test('no text makes it throw anything but INVALID_ARGUMENT', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), uriText)
  fc.assert(fc.property(text, (value) => isSafe(() => parseAssetUri(value))))
})

test('the text always names the very URL that is fetched', () => {
  fc.assert(
    fc.property(uriText, (value) => {
      const uri = parsedOrUndefined(value)
      if (uri?.url === undefined || uri.url.protocol === 'jar:') return
      assert.equal(new URL(uri.text).href, uri.url.href)
    }),
    { numRuns: 5000 },
  )
})

test('no password stays in text, URL or display', () => {
  const scheme = fc.constantFrom('https', 'http', 'ssh', 'git+https', 'git+ssh', 'ftp', 'x')
  const noise = fc.string({ unit: character, maxLength: 6 })
  fc.assert(
    fc.property(scheme, noise, noise, noise, (name, before, between, after) => {
      const uri = parsedOrUndefined(`${name}://u${before}:SENTINEL${between}@h${after}/x`)
      const sent = uri?.sentText.reveal() ?? ''
      // Only where the parser sees a password: "https://a/b:SENTINEL@h" has it in the path.
      if (!uri || !URL.canParse(sent) || !new URL(sent).password.includes('SENTINEL')) return
      assert.doesNotMatch(`${uri.text} ${uri.url?.href} ${displayUri(sent)}`, /SENTINEL/)
    }),
    { numRuns: 3000 },
  )
})
