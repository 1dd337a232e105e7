import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createGitFetcher } from '../../src/fetchers/git/git-fetcher.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { gitServer } from '../fixtures/git-server.ts'

test('a commit that came with credentials is not given from the mirror without them', async () => {
  await using server = await gitServer()
  const repository = server.repository('private')
  await writeFile(join(repository.directory, 'file'), 'private text')
  const commit = repository.commit('one')
  const allowed = new Set(['Bearer of-a', 'Bearer of-b'])
  server.intercept = (request, response) => {
    if (allowed.has(request.headers.authorization ?? '')) return false
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
    return true
  }
  const fetcher = createGitFetcher({
    mirrorsDirectory: join(server.directory, 'mirrors'),
    environment: process.env,
  })
  const { signal } = new AbortController()
  const fetchAs = (headers: Record<string, string>) =>
    fetcher.fetch(
      fetchRequest(repository.url, {
        kind: 'directory',
        qualifiers: [{ name: 'vcs.commit', value: commit }],
        headers,
      }),
      signal,
    )
  const commitOf = async (headers: Record<string, string>) => {
    await using fetched = await fetchAs(headers)
    return fetched.type === 'commit' ? fetched.commit : undefined
  }

  assert.equal(await commitOf({ authorization: 'Bearer of-a' }), commit)
  await rejectionOf(fetchAs({}), 'PERMISSION_DENIED')
  await rejectionOf(fetchAs({ authorization: 'Bearer of-c' }), 'PERMISSION_DENIED')
  // Another who may read the repository is let in by one cheap request, and then by none.
  assert.equal(await commitOf({ authorization: 'Bearer of-b' }), commit)
  const before = server.requests.length
  assert.equal(await commitOf({ authorization: 'Bearer of-b' }), commit)
  assert.equal(server.requests.length, before)
})
