import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Qualifier } from '../../src/asset/qualifiers.ts'
import type { Fetched, Fetcher } from '../../src/fetchers/fetcher.ts'
import { createGitFetcher } from '../../src/fetchers/git/git-fetcher.ts'
import { fetcherContract } from '../contract/fetcher-contract.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { fetchRequest } from '../fixtures/fetch-request.ts'
import { type GitServer, gitServer } from '../fixtures/git-server.ts'

const never = new AbortController().signal

function fetcherAt(server: GitServer): Fetcher {
  return createGitFetcher({
    mirrorsDirectory: join(server.directory, 'mirrors'),
    environment: process.env,
  })
}

function want(url: string, qualifiers: Record<string, string> = {}, headers = {}) {
  const list: Qualifier[] = Object.entries(qualifiers).map(([name, value]) => ({ name, value }))
  return fetchRequest(url, { kind: 'directory', qualifiers: list, headers })
}

function commitOf(fetched: Fetched): string {
  assert.equal(fetched.type, 'commit')
  return fetched.type === 'commit' ? fetched.commit : ''
}

fetcherContract('git', async () => {
  const server = await gitServer()
  const repository = server.repository('present')
  await writeFile(join(repository.directory, 'file'), 'text')
  repository.commit('one')
  const reached = Promise.withResolvers<void>()
  server.intercept = (request, response) => {
    if (request.url?.startsWith('/stalled')) {
      reached.resolve()
      return true
    }
    if (!request.url?.startsWith('/missing')) return false
    response.writeHead(404).end()
    return true
  }
  const headers = { authorization: 'Bearer s3cret-token' }
  return {
    fetcher: fetcherAt(server),
    present: want(repository.url),
    missing: want(`${server.origin}/missing.git?token=s3cret-query`, {}, headers),
    missingShown: `${server.origin}/missing.git`,
    secrets: ['s3cret-token', 's3cret-query'],
    stalled: want(`${server.origin}/stalled.git`, {}, headers),
    stalledReached: () => reached.promise,
    async idle() {
      while ((await server.connections()) > 0) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})

describe('git fetcher', () => {
  test('accepts what is said or seen to be a repository, and no blob by its looks', () => {
    const fetcher = createGitFetcher({ mirrorsDirectory: '/nonexistent' })
    const said = [{ name: 'resource_type', value: 'application/x-git' }]
    const vcs = [{ name: 'vcs.branch', value: 'main' }]
    const accepts = (url: string, kind: 'blob' | 'directory', qualifiers: Qualifier[] = []) =>
      fetcher.accepts(fetchRequest(url, { kind, qualifiers }))
    for (const url of ['https://h/r.git', 'https://h/r.git/', 'ssh://git@h/r', 'git+https://h/r']) {
      assert.equal(accepts(url, 'directory'), true, url)
      assert.equal(accepts(url, 'blob'), false, url)
      assert.equal(accepts(url, 'blob', vcs), true, url)
    }
    assert.equal(accepts('https://h/r.tar.gz', 'directory'), false)
    assert.equal(accepts('https://h/r', 'directory', said), true)
    for (const url of ['git+file:///srv/r.git', 'ext::sh', 'fd::17', 'urn:x:r.git']) {
      assert.equal(accepts(url, 'directory', said), false, url)
    }
  })

  test('fetches HEAD, a branch, a light and an annotated tag, and a commit', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    const first = repository.commit('first')
    repository.git('tag', 'light')
    repository.git('tag', '-a', 'noted', '-m', 'words')
    const second = repository.commit('second')
    repository.git('checkout', '-q', '-b', 'feature/x')
    const third = repository.commit('third')
    const fetcher = fetcherAt(server)
    const cases: readonly [Record<string, string>, string][] = [
      [{}, second],
      [{ 'vcs.branch': 'main' }, second],
      [{ 'vcs.branch': 'refs/heads/feature/x' }, third],
      [{ 'vcs.tag': 'light' }, first],
      [{ 'vcs.tag': 'noted' }, first],
      [{ 'vcs.commit': first }, first],
      [{ 'vcs.commit': third, 'vcs.branch': 'main' }, third],
    ]
    for (const [qualifiers, commit] of cases) {
      await using fetched = await fetcher.fetch(want(repository.url, qualifiers), never)
      assert.equal(commitOf(fetched), commit)
      assert.ok(fetched.type === 'commit')
      assert.deepEqual(fetched.resolved, [{ name: 'vcs.commit', value: commit }])
    }
  })

  test('a commit that is in the mirror costs no request, and only it was fetched', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    repository.commit('first')
    const commit = repository.commit('second')
    const fetcher = fetcherAt(server)
    await using first = await fetcher.fetch(want(repository.url, { 'vcs.commit': commit }), never)
    assert.ok(first.type === 'commit')
    const history = execFileSync('git', ['--git-dir', first.gitDir, 'rev-list', commit]).toString()
    assert.equal(history.trim(), commit, 'a shallow mirror')
    const before = server.requests.length
    await using again = await fetcher.fetch(want(repository.url, { 'vcs.commit': commit }), never)
    assert.equal(commitOf(again), commit)
    assert.equal(server.requests.length, before)
  })

  test('finds a commit that the server gives only with its branch', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    const first = repository.commit('first')
    repository.commit('second')
    // The first version of the protocol lets a server refuse ids that no ref names.
    server.intercept = (request) => {
      delete request.headers['git-protocol']
      return false
    }
    await using found = await fetcherAt(server).fetch(
      want(repository.url, { 'vcs.commit': first }),
      never,
    )
    assert.equal(commitOf(found), first)
  })

  test('says NOT_FOUND for a branch, tag, commit or repository that is not there', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    repository.commit('first')
    const empty = server.repository('empty')
    const fetcher = fetcherAt(server)
    const cases = [
      want(repository.url, { 'vcs.branch': 'nope' }),
      want(repository.url, { 'vcs.tag': 'main' }),
      want(repository.url, { 'vcs.commit': 'a'.repeat(40) }),
      want(`${server.origin}/gone.git`),
      want(empty.url),
    ]
    for (const request of cases) await rejectionOf(fetcher.fetch(request, never), 'NOT_FOUND')
  })

  test('refuses what could be an option, an expression or another transport', async () => {
    await using server = await gitServer()
    const { url } = server.repository('r')
    const fetcher = fetcherAt(server)
    const cases = [
      want(url, { 'vcs.branch': '--upload-pack=touch /tmp/x' }),
      want(url, { 'vcs.branch': '-x' }),
      want(url, { 'vcs.tag': 'a..b' }),
      want(url, { 'vcs.branch': '*' }),
      want(url, { 'vcs.branch': 'a\nb' }),
      want(url, { 'vcs.branch': '' }),
      want(url, { 'vcs.commit': 'abcdef1' }),
      want(url, { 'vcs.commit': 'A'.repeat(40) }),
      want(url, { 'vcs.commit': '-'.repeat(40) }),
      want(url, { 'vcs.branch': 'a', 'vcs.tag': 'b' }),
      want('ssh://-oProxyCommand=x/r.git'),
      want('ssh://-x@host/r.git'),
      want('git://host/a%0ab.git'),
      want('git+file:///srv/r.git'),
      want('ext::sh -c x'),
      want('https://host/', { 'vcs.branch': 'main' }),
    ]
    for (const request of cases) {
      await rejectionOf(fetcher.fetch(request, never), 'INVALID_ARGUMENT')
    }
    assert.deepEqual(server.requests, [])
  })

  test('sends headers to their origin, and follows no redirect with them', async () => {
    await using server = await gitServer()
    await using other = await gitServer()
    const commit = other.repository('r').commit('first')
    server.intercept = (request, response) => {
      response.writeHead(302, { location: `${other.origin}${request.url}` }).end()
      return true
    }
    const fetcher = fetcherAt(server)
    const url = `${server.origin}/r.git`
    await using followed = await fetcher.fetch(want(url), never)
    assert.equal(commitOf(followed), commit)
    const before = other.requests.length
    const headers = { authorization: 'Bearer s3cret', 'x-two': ['a', 'b'] }
    const error = await rejectionOf(
      fetcher.fetch(want(url, {}, headers), never),
      'PERMISSION_DENIED',
    )
    assert.ok(!error.message.includes('s3cret'))
    assert.equal(other.requests.length, before)
    assert.equal(server.headers.at(-1)?.authorization, 'Bearer s3cret')
    assert.equal(server.headers.at(-1)?.['x-two'], 'a, b')
  })

  test('maps what a server answers', async () => {
    await using server = await gitServer()
    let status = 0
    server.intercept = (_request, response) => {
      const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="x"' } : {}
      response.writeHead(status, challenge).end()
      return true
    }
    const fetcher = fetcherAt(server)
    const cases = [
      [401, 'PERMISSION_DENIED'],
      [403, 'PERMISSION_DENIED'],
      [404, 'NOT_FOUND'],
      [429, 'UPSTREAM_UNAVAILABLE'],
      [500, 'UPSTREAM_UNAVAILABLE'],
      [503, 'UPSTREAM_UNAVAILABLE'],
    ] as const
    for (const [answer, code] of cases) {
      status = answer
      await rejectionOf(fetcher.fetch(want(`${server.origin}/r.git`), never), code)
    }
    await rejectionOf(
      fetcher.fetch(want('http://127.0.0.1:1/r.git'), never),
      'UPSTREAM_UNAVAILABLE',
    )
    await rejectionOf(fetcher.fetch(want('http://h.invalid/r.git'), never), 'UPSTREAM_UNAVAILABLE')
  })

  test('says so if git is not installed', async () => {
    await using server = await gitServer()
    const fetcher = createGitFetcher({
      mirrorsDirectory: join(server.directory, 'mirrors'),
      gitBinary: join(server.directory, 'no-git'),
    })
    const request = want(`${server.origin}/r.git`)
    const error = await rejectionOf(fetcher.fetch(request, never), 'FAILED_PRECONDITION')
    assert.match(error.message, /git is not installed/)
  })

  test('makes a damaged mirror anew', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    const commit = repository.commit('first')
    const fetcher = fetcherAt(server)
    const request = want(repository.url, { 'vcs.commit': commit })
    const damages: readonly ((gitDir: string) => Promise<void>)[] = [
      (gitDir) => rm(join(gitDir, 'HEAD')),
      (gitDir) => writeFile(join(gitDir, 'config'), '[[['),
      async (gitDir) => {
        for (const file of await readdir(join(gitDir, 'objects'), { recursive: true })) {
          const path = join(gitDir, 'objects', file)
          if (/\.pack$|[0-9a-f]{38}$/.test(file)) await truncate(path, 10)
        }
      },
    ]
    for (const damage of damages) {
      let gitDir: string
      {
        await using fetched = await fetcher.fetch(request, never)
        assert.ok(fetched.type === 'commit')
        gitDir = fetched.gitDir
      }
      await damage(gitDir)
      await using again = await fetcher.fetch(request, never)
      assert.equal(commitOf(again), commit)
      execFileSync('git', ['--git-dir', gitDir, 'fsck', '--full'], { stdio: 'pipe' })
    }
  })

  test('fetches of one repository at once are all served', async () => {
    await using server = await gitServer()
    const repository = server.repository('r')
    const commits = [1, 2, 3, 4].map((round) => repository.commit(`commit ${round}`))
    const fetcher = fetcherAt(server)
    const fetched = await Promise.all(
      commits.map((commit) => fetcher.fetch(want(repository.url, { 'vcs.commit': commit }), never)),
    )
    assert.deepEqual(fetched.map(commitOf), commits)
    for (const each of fetched) await each[Symbol.asyncDispose]()
  })

  test('ends a running transfer when the signal fires', async () => {
    await using server = await gitServer()
    const closed = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    server.intercept = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' })
      response.write('001e# service=git-upload-pack\n')
      request.socket.on('close', () => closed.resolve())
      reached.resolve()
      return true
    }
    const abort = new AbortController()
    const fetching = fetcherAt(server).fetch(want(`${server.origin}/r.git`), abort.signal)
    await reached.promise
    abort.abort()
    await rejectionOf(fetching, 'CANCELLED')
    await closed.promise
  })
})
