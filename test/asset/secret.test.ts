import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { Secret } from '../../src/asset/secret.ts'

test('a secret gives its value to reveal alone', () => {
  const secret = new Secret('SENTINEL')
  assert.equal(secret.reveal(), 'SENTINEL')
  const printed = [
    `${secret}`,
    String(secret),
    `a${secret}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ deep: [new Map([['k', secret]])] }, { depth: 9 }),
    inspect(secret, { customInspect: false, showHidden: true }),
    format('%s %o %j', secret, secret, secret),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify(structuredClone(secret)),
  ]
  assert.doesNotMatch(printed.join('\n'), /SENTINEL/)
  assert.equal(printed[0], '<redacted>')
  assert.equal(printed[3], '{"secret":"<redacted>"}')
})
