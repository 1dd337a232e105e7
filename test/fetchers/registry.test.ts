import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Fetcher } from '../../src/fetchers/fetcher.ts'
import { createHttpFetcher } from '../../src/fetchers/http-fetcher.ts'
import { pickFetcher } from '../../src/fetchers/registry.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'

const everything: Fetcher = {
  name: 'everything',
  yields: 'body',
  accepts: () => true,
  fetch: () => Promise.reject(new Error('never fetched here')),
}

describe('pickFetcher', () => {
  test('takes the first that accepts', async () => {
    await using http = createHttpFetcher({ userAgent: 'larder/test' })
    const request = fetchRequest('https://host/file')
    assert.equal(pickFetcher([http, everything], request), http)
    assert.equal(pickFetcher([everything, http], request), everything)
    assert.equal(pickFetcher([http, everything], fetchRequest('urn:a:b')), everything)
    assert.equal(pickFetcher([http], fetchRequest('ftp://host/file')), undefined)
    assert.equal(pickFetcher([], request), undefined)
  })

  test('http never takes what is asked for as a repository', async () => {
    await using http = createHttpFetcher({ userAgent: 'larder/test' })
    for (const qualifier of [
      { name: 'resource_type', value: 'application/x-git' },
      { name: 'vcs.commit', value: 'a'.repeat(40) },
      { name: 'vcs.branch', value: 'main' },
      { name: 'vcs.tag', value: 'v1' },
    ]) {
      const request = fetchRequest('https://host/repo', { qualifiers: [qualifier] })
      assert.equal(pickFetcher([http], request), undefined, qualifier.name)
    }
    const typed = { name: 'resource_type', value: 'application/x-tar' }
    const request = fetchRequest('https://host/a.tar', { kind: 'directory', qualifiers: [typed] })
    assert.equal(pickFetcher([http], request), http)
  })
})
