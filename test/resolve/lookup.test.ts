import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestText } from '../../src/asset/digest.ts'
import { hashBytes } from '../../src/util/hasher.ts'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import {
  assetRequest,
  body,
  fail,
  notModified,
  type RequestParts,
  ResolverHouse,
  sri,
  storeBlob,
  storeTree,
} from '../fixtures/resolver-house.ts'

const first = 'https://a.example/x'
const second = 'https://b.example/x'
const hourMs = 3_600_000

/** A house whose origins all answer with this content. */
function serving(content: string, options = {}): ResolverHouse {
  const house = new ResolverHouse(options)
  for (const url of [first, second]) house.origins.answers.set(url, () => body(content, '"1"'))
  return house
}

describe('what is known is answered', () => {
  test('by the first URI of the request that has a row', async () => {
    using house = new ResolverHouse()
    const [one, two] = [await storeBlob(house.store, '1'), await storeBlob(house.store, '2')]
    await house.putRow(assetRequest('urn:one'), one)
    await house.putRow(assetRequest('urn:two'), two)
    const answer = async (...uris: string[]) => {
      const { digest, uri } = await house.resolve(assetRequest(uris))
      return [digest, uri]
    }
    assert.deepEqual(await answer('urn:one', 'urn:two'), [one, 'urn:one'])
    assert.deepEqual(await answer('urn:two', 'urn:one'), [two, 'urn:two'])
    assert.deepEqual(await answer('urn:none', 'urn:one'), [one, 'urn:one'])
  })

  test('in its own name space of kind, instance, function and qualifiers', async () => {
    using house = new ResolverHouse()
    const qualifiers = { 'bazel.canonical_id': 'c' }
    const request = assetRequest('urn:x', { instance: 'main', qualifiers })
    await house.putRow(request, await storeBlob(house.store, 'x'))
    await house.resolve(request)
    const others: RequestParts[] = [
      { qualifiers, instance: '' },
      { qualifiers, instance: 'main', kind: 'directory' },
      { qualifiers, instance: 'main', digestFunction: 'BLAKE3' },
      { qualifiers: { 'bazel.canonical_id': 'd' }, instance: 'main' },
    ]
    for (const other of others) {
      await rejectionOf(house.resolve(assetRequest('urn:x', other)), 'NOT_FOUND')
    }
  })

  test('from a pushed row with more qualifiers, an exact one of a later URI first', async () => {
    using house = new ResolverHouse()
    const [exact, more] = [await storeBlob(house.store, '1'), await storeBlob(house.store, '2')]
    await house.putRow(assetRequest('urn:a', { qualifiers: { x: '1', y: '2' } }), more)
    const asked = (...uris: string[]) => assetRequest(uris, { qualifiers: { x: '1' } })
    assert.deepEqual((await house.resolve(asked('urn:a', 'urn:b'))).digest, more)
    await house.putRow(asked('urn:b'), exact)
    assert.deepEqual((await house.resolve(asked('urn:a', 'urn:b'))).digest, exact)
    await rejectionOf(
      house.resolve(assetRequest('urn:a', { qualifiers: { 'vcs.tag': '2' } })),
      'NOT_FOUND',
    )
  })

  test('never from a fetched row with more qualifiers', async () => {
    using house = new ResolverHouse()
    await house.putRow(
      assetRequest('urn:a', { qualifiers: { 'bazel.canonical_id': 'c' } }),
      await storeBlob(house.store, 'x'),
      { source: 'fetched' },
    )
    await rejectionOf(house.resolve(assetRequest('urn:a')), 'NOT_FOUND')
  })

  for (const digestFunction of ['SHA256', 'BLAKE3', 'SHA512', 'SHA1'] as const) {
    test(`by a ${digestFunction} checksum, whatever URI and canonical id`, async () => {
      using house = new ResolverHouse()
      const digest = await storeBlob(house.store, 'content')
      await storeBlob(house.store, 'content', digestFunction)
      const qualifiers = {
        'checksum.sri': `${sri('absent')} ${sri('content', digestFunction)}`,
        'bazel.canonical_id': 'never seen',
      }
      const resolved = await house.resolve(assetRequest([first, second], { qualifiers }))
      assert.deepEqual(resolved.digest, digest)
      assert.equal(resolved.uri, first)
      assert.deepEqual(house.lookups, ['checksum'])
      const blake3 = await house.resolve(
        assetRequest(first, { qualifiers, digestFunction: 'BLAKE3' }),
      )
      assert.equal(digestText(blake3.digest).split('/')[0], 'blake3')
    })
  }

  test('a pushed blob is not unpacked for a name that has no origin', async () => {
    using house = new ResolverHouse()
    await house.putRow(assetRequest('urn:x'), await storeBlob(house.store, 'x'))
    await rejectionOf(house.resolve(assetRequest('urn:x', { kind: 'directory' })), 'NOT_FOUND')
    assert.equal(house.importers.archives.length, 0)
  })

  test('the checksum of an archive is not that of a file or tree in it', async () => {
    using house = new ResolverHouse()
    const archive = await storeBlob(house.store, 'archive')
    const qualifiers = { 'checksum.sri': sri('archive') }
    for (const parts of [
      { qualifiers: { ...qualifiers, directory: 'a.txt' } },
      { qualifiers, kind: 'directory' },
    ] as const) {
      const { digest } = await house.resolve(assetRequest(first, parts))
      assert.notDeepEqual(digest, archive)
    }
    assert.equal(house.origins.asked.length, 0)
  })

  test('an empty "directory" of a blob is not the archive either', async () => {
    using house = new ResolverHouse()
    await storeBlob(house.store, 'archive')
    const qualifiers = { 'checksum.sri': sri('archive'), directory: '' }
    await rejectionOf(house.resolve(assetRequest(first, { qualifiers })), 'NOT_FOUND')
  })

  test('not with a pushed row that has not the checksum asked for', async () => {
    using house = serving('right')
    const request = assetRequest(first, { qualifiers: { 'checksum.sri': sri('right') } })
    await house.putRow(request, await storeBlob(house.store, 'wrong'))
    const { digest } = await house.resolve(request)
    assert.deepEqual(digest, await storeBlob(house.store, 'right'))
    assert.equal(house.origins.asked.length, 1)
  })

  test('with a pushed row that has it, under whatever function', async () => {
    using house = new ResolverHouse()
    const request = assetRequest('urn:x', {
      qualifiers: { 'checksum.sri': sri('right', 'SHA512') },
      digestFunction: 'BLAKE3',
    })
    const digest = await storeBlob(house.store, 'right', 'BLAKE3')
    await house.putRow(request, digest)
    assert.deepEqual((await house.resolve(request)).digest, digest)
    assert.deepEqual(house.lookups, ['hit'])
  })
})

describe('in an index whose content is kept elsewhere', () => {
  const elsewhere: Digest = {
    function: 'SHA256',
    hash: hashBytes('SHA256', Buffer.from('elsewhere')),
    sizeBytes: 9,
  }

  test('a pushed digest is answered, to who names its checksum too', async () => {
    using house = new ResolverHouse({ trustsPushes: true })
    for (const qualifiers of [{}, { 'checksum.sri': sri('elsewhere') }]) {
      const request = assetRequest(first, { qualifiers })
      await house.putRow(request, elsewhere)
      assert.deepEqual((await house.resolve(request)).digest, elsewhere)
    }
    assert.equal(house.origins.asked.length, 0)
  })

  test('a pushed digest is not answered for a checksum that nobody can prove', async () => {
    using house = new ResolverHouse({ trustsPushes: true })
    for (const checksum of [sri('other'), sri('elsewhere', 'SHA512')]) {
      const request = assetRequest(first, { qualifiers: { 'checksum.sri': checksum } })
      await house.putRow(request, elsewhere)
      await rejectionOf(house.resolve(request), 'NOT_FOUND')
    }
  })
})

describe('what has gone is a miss', () => {
  test('a row is not answered from its expiry on', async () => {
    using house = new ResolverHouse()
    const request = assetRequest('urn:x')
    const expiresAtMs = house.nowMs + 10
    await house.putRow(request, await storeBlob(house.store, 'x'), { expiresAtMs })
    assert.equal((await house.resolve(request)).expiresAtMs, expiresAtMs)
    house.nowMs = expiresAtMs
    await rejectionOf(house.resolve(request), 'NOT_FOUND')
  })

  test('a blob that was evicted is fetched again', async () => {
    using house = serving('content')
    const { digest } = await house.resolve(assetRequest(first))
    house.store.evict(digest)
    assert.deepEqual((await house.resolve(assetRequest(first))).digest, digest)
    assert.equal(house.origins.asked.length, 2)
    assert.equal(house.origins.asked[1]?.held, undefined)
    assert.deepEqual(await house.store.findMissing([digest]), [])
  })

  test('a tree that lacks one file, or its root, or was no Directory', async () => {
    using house = new ResolverHouse()
    const request = assetRequest('urn:x', { kind: 'directory' })
    const root = await storeTree(house.store, { a: 'file a', b: 'file b' })
    await house.putRow(request, root)
    assert.deepEqual((await house.resolve(request)).digest, root)
    const file = await storeBlob(house.store, 'file a')
    house.store.evict(file)
    await rejectionOf(house.resolve(request), 'NOT_FOUND')
    await storeBlob(house.store, 'file a')
    house.nowMs += hourMs
    assert.deepEqual((await house.resolve(request)).digest, root)
    house.store.evict(root)
    house.nowMs += hourMs
    await rejectionOf(house.resolve(request), 'NOT_FOUND')
    await house.putRow(request, await storeBlob(house.store, 'not a Directory'))
    house.nowMs += hourMs
    await rejectionOf(house.resolve(request), 'NOT_FOUND')
  })
})

describe('what credentials have brought', () => {
  const withToken = (token: string, qualifiers = {}) =>
    assetRequest(first, { qualifiers: { ...qualifiers, 'http_header:Authorization': token } })

  test('is answered to the same credentials alone', async () => {
    using house = serving('private')
    await house.resolve(withToken('A'))
    await house.resolve(withToken('A'))
    assert.equal(house.origins.asked.length, 1)
    house.origins.answers.set(first, () => fail('PERMISSION_DENIED'))
    await rejectionOf(house.resolve(withToken('B')), 'PERMISSION_DENIED')
    await rejectionOf(house.resolve(assetRequest(first)), 'PERMISSION_DENIED')
    await rejectionOf(house.resolve(assetRequest('https://A@a.example/x')), 'PERMISSION_DENIED')
    await house.resolve(withToken('A'))
    assert.equal(house.origins.asked.length, 4)
    assert.ok(house.origins.asked.every(({ held }) => held === undefined))
  })

  test('is answered to who names its checksum', async () => {
    using house = serving('private')
    const { digest } = await house.resolve(withToken('A'))
    const qualifiers = { 'checksum.sri': sri('private') }
    const answers = [assetRequest(second, { qualifiers }), withToken('B', qualifiers)]
    for (const request of answers) {
      assert.deepEqual((await house.resolve(request)).digest, digest)
    }
    assert.equal(house.origins.asked.length, 1)
  })

  test('stands beside what others brought', async () => {
    using house = serving('for A')
    await house.resolve(withToken('A'))
    house.origins.answers.set(first, () => body('for B'))
    await house.resolve(withToken('B'))
    const [a, b] = await Promise.all([withToken('A'), withToken('B')].map((r) => house.resolve(r)))
    assert.deepEqual(a?.digest, await storeBlob(house.store, 'for A'))
    assert.deepEqual(b?.digest, await storeBlob(house.store, 'for B'))
    assert.equal(house.origins.asked.length, 2)
  })

  test('never enters the index', async () => {
    using house = serving('private')
    await house.resolve(withToken('SENTINEL'))
    await house.resolve(assetRequest('https://u:SENTINEL@a.example/x')).catch(() => {})
    assert.equal(house.index.rows.length, 2)
    assert.doesNotMatch(JSON.stringify(house.index.rows), /SENTINEL/)
  })

  test('that were never answered by an origin do not open another request’s row', async () => {
    using house = serving('private')
    const qualifiers = { 'http_header_url:0:Authorization': 'A' }
    await house.resolve(assetRequest([first, second], { qualifiers }))
    house.origins.answers.set(first, () => fail('PERMISSION_DENIED'))
    // The same header for the other URI is not sent to the first.
    await rejectionOf(
      house.resolve(
        assetRequest([first], { qualifiers: { 'http_header_url:1:Authorization': 'A' } }),
      ),
      'PERMISSION_DENIED',
    )
  })
})

describe('freshness', () => {
  test('a bound in the past takes what is newer, and fetches anew what is older', async () => {
    using house = serving('content')
    await house.resolve(assetRequest(first))
    const retrieved = house.nowMs
    house.nowMs += hourMs
    await house.resolve(assetRequest(first, { oldestAcceptedMs: retrieved }))
    assert.equal(house.origins.asked.length, 1)
    await house.resolve(assetRequest(first, { oldestAcceptedMs: retrieved + 1 }))
    assert.equal(house.origins.asked.length, 2)
  })

  test('a bound in the future asks the origin, and takes what it has just said', async () => {
    using house = serving('old')
    await house.resolve(assetRequest(first))
    house.origins.answers.set(first, () => body('new'))
    const request = assetRequest(first, { oldestAcceptedMs: house.nowMs + hourMs })
    const { digest } = await house.resolve(request)
    assert.deepEqual(digest, await storeBlob(house.store, 'new'))
    await house.resolve(request)
    assert.equal(house.origins.asked.length, 3)
  })

  test('304 keeps the content and renews the row', async () => {
    using house = serving('content')
    const { digest } = await house.resolve(assetRequest(first))
    house.origins.answers.set(first, () => notModified())
    house.nowMs += hourMs
    const bound = { oldestAcceptedMs: house.nowMs }
    assert.deepEqual((await house.resolve(assetRequest(first, bound))).digest, digest)
    assert.deepEqual(house.origins.asked[1]?.held, { etag: '"1"', lastModified: undefined })
    await house.resolve(assetRequest(first, bound))
    assert.equal(house.origins.asked.length, 2)
    const [row, ...more] = house.index.rows
    assert.deepEqual(
      [row?.retrievedAtMs, row?.etag, row?.digest, more.length],
      [house.nowMs, '"1"', digest, 0],
    )
  })

  test('a 304 that nobody asked for is an error and no content', async () => {
    using house = new ResolverHouse()
    house.origins.answers.set(first, () => notModified())
    await assert.rejects(house.resolve(assetRequest(first)))
    assert.equal(house.index.rows.length, 0)
  })

  test('with a checksum or commit, age does not count', async () => {
    using house = serving('content')
    const oldestAcceptedMs = house.nowMs + hourMs
    const qualifiers = { 'checksum.sri': sri('content') }
    await house.resolve(assetRequest(first, { qualifiers }))
    await house.resolve(assetRequest(first, { qualifiers, oldestAcceptedMs }))
    assert.equal(house.origins.asked.length, 1)
  })

  test('ttl: content ages by itself', async () => {
    using house = serving('content', { freshness: { rule: 'ttl', ttlMs: 1000 } })
    await house.resolve(assetRequest(first))
    house.nowMs += 999
    await house.resolve(assetRequest(first))
    assert.equal(house.origins.asked.length, 1)
    house.nowMs += 1
    await house.resolve(assetRequest(first))
    assert.equal(house.origins.asked.length, 2)
  })

  test('immutable: the origin is asked once, whatever the bound', async () => {
    using house = serving('content', { freshness: { rule: 'immutable' } })
    const request = assetRequest(first, { oldestAcceptedMs: house.nowMs + hourMs })
    await house.resolve(request)
    await house.resolve(request)
    assert.equal(house.origins.asked.length, 1)
  })

  test('refuse: nothing is fetched without a checksum', async () => {
    using house = serving('content', { freshness: { rule: 'refuse' } })
    for (const kind of ['blob', 'directory'] as const) {
      await rejectionOf(house.resolve(assetRequest(first, { kind })), 'PERMISSION_DENIED')
    }
    assert.equal(house.origins.asked.length, 0)
    await house.resolve(assetRequest(first, { qualifiers: { 'checksum.sri': sri('content') } }))
  })

  test('offline: any age will do, and nothing is fetched', async () => {
    using house = serving('content', { isOffline: true, freshness: { rule: 'ttl', ttlMs: 1 } })
    const error = await rejectionOf(house.resolve(assetRequest(first)), 'NOT_FOUND')
    assert.match(error.message, /offline/)
    const request = assetRequest(first, { oldestAcceptedMs: house.nowMs + hourMs })
    const digest = await storeBlob(house.store, 'content')
    await house.putRow(request, digest, { source: 'fetched', retrievedAtMs: 0 })
    assert.deepEqual((await house.resolve(request)).digest, digest)
    assert.equal(house.origins.asked.length, 0)
  })

  test('a pushed row obeys the bound, not the rules for origins', async () => {
    using house = new ResolverHouse({ freshness: { rule: 'ttl', ttlMs: 1 } })
    const request = assetRequest('urn:x')
    await house.putRow(request, await storeBlob(house.store, 'x'))
    const pushedAtMs = house.nowMs
    house.nowMs += hourMs
    await house.resolve(request)
    await house.resolve({ ...request, oldestAcceptedMs: pushedAtMs })
    await rejectionOf(house.resolve({ ...request, oldestAcceptedMs: pushedAtMs + 1 }), 'NOT_FOUND')
  })
})
