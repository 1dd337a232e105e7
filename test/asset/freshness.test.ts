import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Freshness, isFresh } from '../../src/asset/freshness.ts'

const retrievedAtMs = 1_000_000
const revalidate: Freshness = { rule: 'revalidate' }
const ttl: Freshness = { rule: 'ttl', ttlMs: 5000 }
const immutable: Freshness = { rule: 'immutable' }
const refuse: Freshness = { rule: 'refuse' }

type Row = readonly [
  rule: Freshness,
  named: 'named' | 'unnamed',
  oldest: number | undefined,
  ageMs: number,
  fresh: boolean,
]

const table: readonly Row[] = [
  [revalidate, 'unnamed', undefined, 1e12, true],
  [revalidate, 'unnamed', retrievedAtMs - 1, 0, true],
  [revalidate, 'unnamed', retrievedAtMs, 0, true],
  [revalidate, 'unnamed', retrievedAtMs + 1, 0, false],
  [revalidate, 'unnamed', retrievedAtMs + 3_600_000, 0, false],
  [revalidate, 'named', retrievedAtMs + 3_600_000, 1e12, true],
  [ttl, 'unnamed', undefined, 4999, true],
  [ttl, 'unnamed', undefined, 5000, false],
  [ttl, 'unnamed', retrievedAtMs + 1, 0, false],
  [ttl, 'named', undefined, 1e12, true],
  [immutable, 'unnamed', retrievedAtMs + 3_600_000, 1e12, true],
  [refuse, 'unnamed', undefined, 1e12, true],
  [refuse, 'unnamed', retrievedAtMs + 1, 0, false],
  [refuse, 'named', retrievedAtMs + 1, 0, true],
]

for (const [freshness, named, oldestAcceptedMs, ageMs, fresh] of table) {
  const bound =
    oldestAcceptedMs === undefined ? 'no bound' : `${oldestAcceptedMs - retrievedAtMs} ms`
  test(`${freshness.rule}, ${named}, bound ${bound}, age ${ageMs} ms: ${fresh}`, () => {
    const question = {
      retrievedAtMs,
      isImmutable: named === 'named',
      oldestAcceptedMs,
      nowMs: retrievedAtMs + ageMs,
    }
    assert.equal(isFresh(question, freshness), fresh)
  })
}
