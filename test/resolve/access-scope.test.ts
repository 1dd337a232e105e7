import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Secret } from '../../src/asset/secret.ts'
import { accessScope } from '../../src/resolve/access-scope.ts'

const scopeKey = Buffer.alloc(32, 1)
type Headers = readonly (readonly [name: string, values: readonly string[]])[]

function scope(headers: Headers, key: Uint8Array = scopeKey): string {
  const secrets = headers.map(
    ([name, values]) => [name, values.map((value) => new Secret(value))] as const,
  )
  return accessScope(key, new Map(secrets))
}

test('no headers are the public scope', () => {
  assert.equal(scope([]), '')
})

test('the same headers in another order of names are the same scope', () => {
  const one = scope([
    ['a', ['1']],
    ['b', ['2', '3']],
  ])
  const other = scope([
    ['b', ['2', '3']],
    ['a', ['1']],
  ])
  assert.equal(one, other)
  assert.match(one, /^[0-9a-f]{64}$/)
})

test('another key hashes the same headers to another scope', () => {
  assert.notEqual(scope([['a', ['1']]]), scope([['a', ['1']]], Buffer.alloc(32, 2)))
})

test('no two sets of headers have the same scope', () => {
  // Few characters, among them those that separate, so that confusions are likely.
  const text = fc.string({ unit: fc.constantFrom('a', '1', ':', 'é'), maxLength: 4 })
  const headers = fc
    .uniqueArray(fc.tuple(text, fc.array(text, { minLength: 1, maxLength: 3 })), {
      selector: ([name]) => name,
      minLength: 1,
      maxLength: 3,
    })
    .map((list) => list.toSorted(([a], [b]) => (a < b ? -1 : 1)))
  fc.assert(
    fc.property(headers, headers, (one, other) => {
      assert.equal(scope(one) === scope(other), JSON.stringify(one) === JSON.stringify(other))
    }),
    { numRuns: 3000 },
  )
})
