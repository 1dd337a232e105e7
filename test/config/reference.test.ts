import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { configKeys } from '../../src/config/keys.ts'
import { configJsonSchema, configReference } from '../../src/config/reference.ts'

test('docs/configuration.md is up to date', async () => {
  const file = resolve(import.meta.dirname, '../../docs/configuration.md')
  assert.equal(
    await readFile(file, 'utf8'),
    configReference(),
    'run: npm run --silent larder -- check-config --reference > docs/configuration.md',
  )
})

test('every key has a description and a unit', () => {
  for (const { path, description, unit } of configKeys) {
    assert.match(description, /^[A-Z].*\.$/s, path)
    assert.notEqual(unit, '', path)
  }
})

test('the JSON Schema refuses unknown keys and requires none', () => {
  const schema = JSON.stringify(configJsonSchema())
  assert.match(schema, /"additionalProperties":false/)
  assert.doesNotMatch(schema, /textForm/)
})
