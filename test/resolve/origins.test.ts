import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import {
  assetRequest,
  body,
  commit,
  fail,
  ResolverHouse,
  sri,
  storeBlob,
} from '../fixtures/resolver-house.ts'

const first = 'https://a.example/x'
const second = 'https://b.example/x'
const third = 'https://c.example/x'
const repository = 'https://git.example/x.git'
const commitId = 'c'.repeat(40)

describe('mirrors', () => {
  test('are asked in order, up to the first that answers', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(second, () => body('content'))
    house.origins.answers.set(third, () => body('content'))
    const { uri } = await house.resolve(assetRequest([first, second, third]))
    assert.equal(uri, second)
    assert.deepEqual(house.origins.askedUrls, [first, second])
  })

  test('of which one has other content are gone past', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('wrong'))
    house.origins.answers.set(second, () => body('right'))
    const qualifiers = { 'checksum.sri': sri('right', 'SHA512') }
    const { uri, digest } = await house.resolve(assetRequest([first, second], { qualifiers }))
    assert.equal(uri, second)
    const right = await storeBlob(house.store, 'right')
    assert.deepEqual(digest, right)
    assert.equal(house.store.stats().blobs, 1)
  })

  test('that all have other content are a mismatch that tells both hashes and each URI', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('wrong 1'))
    house.origins.answers.set(second, () => body('wrong 2'))
    const qualifiers = { 'checksum.sri': sri('right') }
    const error = await rejectionOf(
      house.resolve(assetRequest([first, second, third], { qualifiers })),
      'CHECKSUM_MISMATCH',
    )
    for (const part of [first, second, third, sri('right')]) {
      assert.ok(error.message.includes(part), error.message)
    }
    assert.equal(house.store.stats().blobs, 0)
    assert.equal(house.index.rows.length, 0)
  })

  const outranked = ['NOT_FOUND', 'PERMISSION_DENIED', 'CHECKSUM_MISMATCH'] as const
  for (const code of outranked) {
    test(`in passing trouble outrank ${code}, wherever they stand`, async () => {
      for (const order of [
        [first, second],
        [second, first],
      ]) {
        using house = new ResolverHouse()
        house.origins.answers.set(first, () => fail('UPSTREAM_UNAVAILABLE', `${first}: 503`))
        house.origins.answers.set(second, () => fail(code, `${second}: final`))
        const error = await rejectionOf(house.resolve(assetRequest(order)), 'UPSTREAM_UNAVAILABLE')
        assert.match(error.message, /none of 2 URIs/)
        assert.ok(error.message.includes(`${first}: 503`) && error.message.includes(second))
      }
    })
  }

  for (const code of ['FAILED_PRECONDITION', 'DATA_LOSS'] as const) {
    test(`that fail by ${code} are not hidden by another that has not got the content`, async () => {
      using house = new ResolverHouse()
      house.origins.answers.set(second, () => fail(code, `${second}: ${code}`))
      await rejectionOf(house.resolve(assetRequest([first, second])), code)
    })
  }

  test('tell to come back when the first of them is ready', async () => {
    using house = new ResolverHouse()
    const busy = (retryAfterMs: number) => () =>
      fail('UPSTREAM_UNAVAILABLE', '503', { retryAfterMs })
    house.origins.answers.set(first, busy(600_000))
    house.origins.answers.set(second, busy(2000))
    const busyAll = await rejectionOf(
      house.resolve(assetRequest([first, second])),
      'UPSTREAM_UNAVAILABLE',
    )
    assert.equal(busyAll.retryAfterMs, 2000)
    house.origins.answers.set(third, () => fail('UPSTREAM_UNAVAILABLE', 'reset'))
    const one = await rejectionOf(
      house.resolve(assetRequest([first, third])),
      'UPSTREAM_UNAVAILABLE',
    )
    assert.equal(one.retryAfterMs, undefined)
  })

  test('become rows for all with a checksum, for the one that answered without', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(second, () => body('content'))
    await house.resolve(assetRequest([first, second]))
    assert.deepEqual(
      house.index.rows.map(({ uri }) => uri),
      [second],
    )
    await rejectionOf(house.resolve(assetRequest([first])), 'NOT_FOUND')
    using other = new ResolverHouse()
    other.origins.answers.set(second, () => body('content'))
    const qualifiers = { 'checksum.sri': sri('content') }
    await other.resolve(assetRequest([first, second, third], { qualifiers }))
    assert.deepEqual(
      other.index.rows.map(({ uri }) => uri),
      [first, second, third],
    )
  })

  test('that differ in a password alone are asked each', async () => {
    using house = new ResolverHouse({ attempts: 2 })
    const url = 'https://h.example/x'
    house.origins.answers.set(url, ({ headers }) => {
      const token = headers.get('authorization')?.[0]?.reveal()
      const isFirstUser = token === `Basic ${Buffer.from('a:').toString('base64')}`
      if (!isFirstUser) return fail('NOT_FOUND', 'no')
      return house.origins.asked.length > 2 ? body('content') : fail('UPSTREAM_UNAVAILABLE')
    })
    await house.resolve(assetRequest(['https://a@h.example/x', 'https://b@h.example/x']))
    assert.equal(house.origins.asked.length, 3)
  })
})

describe('rounds', () => {
  test('only what may pass is asked again', async () => {
    using house = new ResolverHouse({ attempts: 3 })
    let tries = 0
    house.origins.answers.set(second, () => {
      tries += 1
      return tries < 3 ? fail('UPSTREAM_UNAVAILABLE') : body('content')
    })
    const { uri } = await house.resolve(assetRequest([first, second]))
    assert.equal(uri, second)
    assert.deepEqual(house.origins.askedUrls, [first, second, second, second])
  })

  test('end', async () => {
    using house = new ResolverHouse({ attempts: 2 })
    house.origins.answers.set(first, () => fail('UPSTREAM_UNAVAILABLE'))
    await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    assert.equal(house.origins.asked.length, 2)
  })

  test('do not ask an origin that has said when to come back', async () => {
    using house = new ResolverHouse({ attempts: 5 })
    house.origins.answers.set(first, () =>
      fail('UPSTREAM_UNAVAILABLE', '429', { retryAfterMs: 60_000 }),
    )
    const error = await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    assert.equal(error.retryAfterMs, 60_000)
    assert.equal(house.origins.asked.length, 1)
  })

  test('stop at once at troubles of our own', async () => {
    for (const code of ['INTERNAL', 'UNAVAILABLE'] as const) {
      using house = new ResolverHouse({ attempts: 3 })
      house.origins.answers.set(first, () => fail(code))
      house.origins.answers.set(second, () => body('content'))
      await rejectionOf(house.resolve(assetRequest([first, second])), code)
      assert.equal(house.origins.asked.length, 1)
    }
  })
})

describe('what has no origin', () => {
  test('is NOT_FOUND, or INVALID_ARGUMENT for files of the server', async () => {
    using house = new ResolverHouse()
    for (const kind of ['blob', 'directory'] as const) {
      for (const uri of ['urn:x', 'not a url'.replaceAll(' ', '-'), 'mailto:x@y']) {
        const error = await rejectionOf(house.resolve(assetRequest(uri, { kind })), 'NOT_FOUND')
        assert.ok(error.message.startsWith(uri))
      }
      for (const uri of ['file:///etc/passwd', 'FILE:/etc/passwd', 'file://host/x']) {
        await rejectionOf(house.resolve(assetRequest(uri, { kind })), 'INVALID_ARGUMENT')
      }
    }
  })

  test('unknown qualifiers are refused with a violation each, and nothing is fetched', async () => {
    using house = new ResolverHouse()
    const request = assetRequest(first, { qualifiers: { foo: '1', bar: '2', directory: 'd' } })
    const error = await rejectionOf(house.resolve(request), 'INVALID_ARGUMENT')
    assert.deepEqual(error.violations, [
      { field: 'qualifiers.name', description: '"bar" not supported' },
      { field: 'qualifiers.name', description: '"foo" not supported' },
    ])
    assert.equal(house.origins.asked.length, 0)
  })

  test('no secret is in any error', async () => {
    using house = new ResolverHouse()
    const uris = ['https://u:SENTINEL@h.example/x?sig=SENTINEL', 'ssh://g:SENTINEL@h.example/x']
    const qualifiers = {
      'http_header:Authorization': 'SENTINEL',
      'bazel.auth_headers': JSON.stringify({ 'https://h:SENTINEL@x/': { A: 'SENTINEL' } }),
    }
    for (const parts of [
      { qualifiers },
      { qualifiers: { ...qualifiers, foo: '' } },
      { qualifiers: { ...qualifiers, directory: 'x' } },
      { qualifiers, kind: 'directory' },
    ] as const) {
      const failed: unknown = await house.resolve(assetRequest(uris, parts)).catch((e) => e)
      assert.ok(failed instanceof Error)
      // The origins of this test put the whole URL in their message; ours must not add the rest.
      const shown = inspect(failed, { depth: 9 }).replaceAll('?sig=SENTINEL: 404', '')
      assert.doesNotMatch(shown, /SENTINEL/)
    }
  })
})

describe('a fetch', () => {
  test('holds its slot and its body until the last byte is taken', async () => {
    using house = new ResolverHouse({ concurrency: 1, perHost: 1 })
    const events: string[] = []
    const gate = Promise.withResolvers<void>()
    const isReading = Promise.withResolvers<void>()
    house.origins.answers.set(first, () => ({
      ...body('unused'),
      body: (async function* () {
        yield Buffer.from('con')
        isReading.resolve()
        await gate.promise
        events.push('last byte')
        yield Buffer.from('tent')
      })(),
      [Symbol.asyncDispose]: async () => void events.push('disposed'),
    }))
    house.origins.answers.set(second, () => {
      events.push('second asked')
      return body('other')
    })
    const one = house.resolve(assetRequest(first))
    await isReading.promise
    const two = house.resolve(assetRequest(second))
    // Time enough for the second to come as far as the queue.
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    gate.resolve()
    assert.deepEqual((await one).digest, await storeBlob(house.store, 'content'))
    await two
    assert.deepEqual(events, ['last byte', 'disposed', 'second asked'])
  })

  test('gives back its slot and body when it fails', async () => {
    using house = new ResolverHouse({ concurrency: 1, perHost: 1 })
    let disposals = 0
    house.origins.answers.set(first, () => ({
      ...body('unused'),
      body: (async function* () {
        yield Buffer.from('con')
        await fail('UPSTREAM_UNAVAILABLE', 'cut short')
      })(),
      [Symbol.asyncDispose]: async () => {
        disposals += 1
      },
    }))
    house.origins.answers.set(second, () => body('other'))
    await rejectionOf(house.resolve(assetRequest(first)), 'UPSTREAM_UNAVAILABLE')
    assert.equal(house.store.stats().blobs, 0)
    assert.equal(disposals, 1)
    await house.resolve(assetRequest(second))
  })

  test('of more than the limit is refused', async () => {
    using house = new ResolverHouse({ sizeBytesMax: 10 })
    house.origins.answers.set(first, () => body('eleven bytes'))
    await rejectionOf(house.resolve(assetRequest(first)), 'RESOURCE_EXHAUSTED')
    assert.equal(house.store.stats().blobs, 0)
  })
})

describe('archives and repositories', () => {
  test('an archive is asked for once for two subtrees and a file', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('archive'))
    const ask = (directory: string) =>
      house.resolve(assetRequest(first, { kind: 'directory', qualifiers: { directory } }))
    const [a, b] = await Promise.all([ask('a'), ask('b')])
    assert.notDeepEqual(a.digest, b.digest)
    const file = await house.resolve(
      assetRequest(first, { qualifiers: { directory: './c//a.txt' } }),
    )
    const archive = await storeBlob(house.store, 'archive')
    assert.deepEqual(file.digest, await storeBlob(house.store, `archive ${archive.hash} c`))
    assert.deepEqual(house.origins.askedUrls, [first])
    assert.deepEqual(
      house.importers.archives.map(({ selection }) => selection.directory),
      ['a', 'b', 'c'],
    )
    await ask('a')
    assert.equal(house.importers.archives.length, 3)
  })

  test('the checksum of a tree is checked against its archive', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('archive'))
    const right = { 'checksum.sri': sri('archive'), strip_prefix: 'p' }
    await house.resolve(assetRequest(first, { kind: 'directory', qualifiers: right }))
    const wrong = { 'checksum.sri': sri('other') }
    for (const parts of [
      { kind: 'directory', qualifiers: wrong },
      { qualifiers: { ...wrong, directory: 'a.txt' } },
    ] as const) {
      await rejectionOf(house.resolve(assetRequest(first, parts)), 'CHECKSUM_MISMATCH')
    }
  })

  test('a file that is not in the tree is NOT_FOUND and named', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('archive'))
    for (const directory of ['d/no.txt', '', '/', '..', '../a.txt/..']) {
      const request = assetRequest(first, { qualifiers: { directory } })
      await rejectionOf(house.resolve(request), 'NOT_FOUND')
    }
  })

  test('a path of many slashes is read as fast as any', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('archive'))
    const directory = `d${'/'.repeat(60_000)}a.txt`
    await house.resolve(assetRequest(first, { qualifiers: { directory } }))
    assert.equal(house.importers.archives[0]?.selection.directory, 'd')
  })

  test('a repository gives its tree or one file, and names the commit', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(repository, () => commit(commitId))
    const qualifiers = { 'vcs.branch': 'main' }
    const resolved = [{ name: 'vcs.commit', value: commitId }]
    const tree = await house.resolve(assetRequest(repository, { kind: 'directory', qualifiers }))
    assert.deepEqual(tree.resolved, resolved)
    const file = await house.resolve(
      assetRequest(repository, { qualifiers: { ...qualifiers, directory: 'a.txt' } }),
    )
    assert.deepEqual(file.resolved, resolved)
    assert.deepEqual(house.origins.askedUrls, [repository])
    const again = await house.resolve(assetRequest(repository, { kind: 'directory', qualifiers }))
    assert.deepEqual(again, { ...tree, expiresAtMs: undefined })
  })

  test('a checksum that a repository cannot be held to is refused, never overlooked', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(repository, () => commit(commitId))
    const qualifiers = { 'vcs.commit': commitId, 'checksum.sri': sri('x') }
    for (const parts of [
      { kind: 'directory', qualifiers },
      { qualifiers: { ...qualifiers, directory: 'a.txt' } },
    ] as const) {
      await rejectionOf(house.resolve(assetRequest(repository, parts)), 'INVALID_ARGUMENT')
    }
    assert.equal(house.origins.asked.length, 0)
  })

  test('a whole tree in the index is not asked for again when its archive has gone', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => body('archive'))
    const request = assetRequest(first, { kind: 'directory' })
    const { digest } = await house.resolve(request)
    house.store.evict(await storeBlob(house.store, 'archive'))
    assert.deepEqual((await house.resolve(request)).digest, digest)
    assert.equal(house.origins.asked.length, 1)
  })
})
