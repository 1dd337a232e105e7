import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fetchService } from '../../src/wire/methods.ts'
import { qualifiers, read, sha256Digest, sri } from '../clients/requests.ts'
import { answerStatus, validated } from '../fixtures/http-behaviours.ts'
import { type HttpOrigin, type OriginHandler, startOrigin } from '../fixtures/http-origin.ts'
import { type LarderServer, startLarder } from '../fixtures/larder-server.ts'
import { RpcClient } from '../fixtures/rpc-client.ts'
import { tarBytes } from '../fixtures/tar-bytes.ts'

const { FetchBlob, FetchDirectory } = fetchService.methods

const content = Buffer.from('for the eyes of Alice and Bob, each by their own key')
const archive = gzipSync(tarBytes([{ path: 'secret.txt', content }]))

const authorizationOf = (user: string) =>
  `Basic ${Buffer.from(`${user}:${user}-password`).toString('base64')}`

/** Content for those who show one of these users' passwords; 401 for all others. */
function privateTo(users: readonly string[], then: OriginHandler): OriginHandler {
  const accepted = new Set(users.map(authorizationOf))
  const refuse = answerStatus(401)
  return (request, response, nth) =>
    (accepted.has(request.headers.authorization ?? '') ? then : refuse)(request, response, nth)
}

interface Fetch {
  readonly uri: string
  readonly qualifiers: Readonly<Record<string, string>>
}

type Way = (origin: HttpOrigin, path: string, user: string) => Fetch

const withHeader: Way = (origin, path, user) => ({
  uri: origin.url + path,
  qualifiers: { 'http_header:Authorization': authorizationOf(user) },
})

/** The ways in which a request can bring a user's password. */
const ways: Readonly<Record<string, Way>> = {
  http_header: withHeader,
  http_header_url: (origin, path, user) => ({
    uri: origin.url + path,
    qualifiers: { 'http_header_url:0:Authorization': authorizationOf(user) },
  }),
  'bazel.auth_headers': (origin, path, user) => ({
    uri: origin.url + path,
    qualifiers: {
      'bazel.auth_headers': JSON.stringify({
        [origin.url + path]: { Authorization: authorizationOf(user) },
      }),
    },
  }),
  'user and password in the URI': (origin, path, user) => ({
    uri: `${origin.url.replace('://', `://${user}:${user}-password@`)}${path}`,
    qualifiers: {},
  }),
}

const refused = { code: 'PERMISSION_DENIED' }

function blob(client: RpcClient, { uri, qualifiers: values }: Fetch, instanceName = '') {
  return client.unary(FetchBlob, { instanceName, uris: [uri], qualifiers: qualifiers(values) })
}

function directory(client: RpcClient, { uri, qualifiers: values }: Fetch) {
  return client.unary(FetchDirectory, { uris: [uri], qualifiers: qualifiers(values) })
}

describe('content that was fetched with credentials', { timeout: 60_000 }, () => {
  let larder: LarderServer
  before(async () => {
    larder = await startLarder()
  })
  after(() => larder[Symbol.asyncDispose]())

  for (const [name, withUser] of Object.entries(ways)) {
    test(`by ${name} is answered to the same credentials alone`, async () => {
      await using origin = await startOrigin()
      using client = new RpcClient(larder.grpcUrl)
      // It has an ETag, which a request of someone else must not be able to revalidate.
      origin.serve('/a', privateTo(['alice'], validated(content, { etag: '"1"' })))
      const asAlice = withUser(origin, '/a', 'alice')
      const { blobDigest } = await blob(client, asAlice)
      assert.equal(blobDigest?.hash, sha256Digest(content).hash)
      assert.equal(origin.requests.length, 1)

      await assert.rejects(blob(client, { uri: `${origin.url}/a`, qualifiers: {} }), refused)
      await assert.rejects(blob(client, withUser(origin, '/a', 'bob')), refused)
      await blob(client, asAlice, 'another/instance')
      assert.equal(origin.requests.length, 4, 'another instance shares nothing')
      for (const { headers } of origin.requests) assert.equal(headers['if-none-match'], undefined)

      assert.deepEqual((await blob(client, asAlice)).blobDigest, blobDigest)
      assert.equal(origin.requests.length, 4, 'her repeat is a hit')
    })
  }

  test('is answered to whoever names its checksum', async () => {
    await using origin = await startOrigin()
    using client = new RpcClient(larder.grpcUrl)
    origin.serve('/a', privateTo(['alice'], validated(content, {})))
    const { uri, qualifiers: header } = withHeader(origin, '/a', 'alice')
    await blob(client, { uri, qualifiers: header })
    const named = { uri, qualifiers: { 'checksum.sri': sri(content) } }
    assert.equal((await blob(client, named)).blobDigest?.hash, sha256Digest(content).hash)
    assert.equal(origin.requests.length, 1)
    const wrong = { 'checksum.sri': sri(Buffer.from('a guess')) }
    await assert.rejects(blob(client, { uri, qualifiers: wrong }), refused)
    // A row that the checksum made must not open the door to those who do not name it.
    await assert.rejects(blob(client, { uri, qualifiers: {} }), refused)
  })

  test('as an archive, neither it nor its tree nor a file of it is answered to others', async () => {
    await using origin = await startOrigin()
    using client = new RpcClient(larder.grpcUrl)
    origin.serve('/a.tar.gz', privateTo(['alice'], validated(archive, { etag: '"1"' })))
    const asAlice = withHeader(origin, '/a.tar.gz', 'alice')
    const file = { ...asAlice, qualifiers: { ...asAlice.qualifiers, directory: 'secret.txt' } }
    const { rootDirectoryDigest } = await directory(client, asAlice)
    assert.equal((await blob(client, file)).blobDigest?.hash, sha256Digest(content).hash)
    assert.equal(origin.requests.length, 1, 'the archive is fetched once for both')

    const others = [withHeader(origin, '/a.tar.gz', 'bob'), { uri: asAlice.uri, qualifiers: {} }]
    for (const other of others) {
      await assert.rejects(directory(client, other), refused)
      await assert.rejects(blob(client, other), refused)
      const part = { ...other, qualifiers: { ...other.qualifiers, directory: 'secret.txt' } }
      await assert.rejects(blob(client, part), refused)
    }
    const { length } = origin.requests
    assert.deepEqual((await directory(client, asAlice)).rootDirectoryDigest, rootDirectoryDigest)
    await blob(client, file)
    await blob(client, asAlice)
    assert.equal(origin.requests.length, length, 'her repeats are hits')
  })

  test('stays hers after a restart, also for a server that cannot ask the origin', async () => {
    await using origin = await startOrigin()
    const dataDir = await mkdtemp(join(tmpdir(), 'larder-private-'))
    await using cleanup = new AsyncDisposableStack()
    cleanup.defer(() => rm(dataDir, { recursive: true, force: true }))
    origin.serve('/a', privateTo(['alice', 'carol'], validated(content, {})))
    origin.serve('/a.tar.gz', privateTo(['alice'], validated(archive, {})))
    {
      await using larder = await startLarder({ dataDir })
      using client = new RpcClient(larder.grpcUrl)
      await blob(client, withHeader(origin, '/a', 'alice'))
      await directory(client, withHeader(origin, '/a.tar.gz', 'alice'))
    }
    {
      await using larder = await startLarder({ dataDir })
      using client = new RpcClient(larder.grpcUrl)
      const before = origin.requests.length
      await blob(client, withHeader(origin, '/a', 'alice'))
      await directory(client, withHeader(origin, '/a.tar.gz', 'alice'))
      assert.equal(origin.requests.length, before, 'her repeats are hits')
      for (const user of ['bob', '']) {
        await assert.rejects(blob(client, withHeader(origin, '/a', user)), refused)
        await assert.rejects(directory(client, withHeader(origin, '/a.tar.gz', user)), refused)
      }
      // Carol may have it, once the origin has said so.
      await blob(client, withHeader(origin, '/a', 'carol'))
      assert.equal(origin.requests.length, before + 5)
    }
    await using larder = await startLarder({ dataDir, args: ['--mode', 'offline'] })
    using client = new RpcClient(larder.grpcUrl)
    for (const user of ['alice', 'carol']) {
      const { blobDigest } = await blob(client, withHeader(origin, '/a', user))
      assert.deepEqual(
        await read(client, `blobs/${blobDigest?.hash}/${blobDigest?.sizeBytes}`),
        content,
      )
    }
    await directory(client, withHeader(origin, '/a.tar.gz', 'alice'))
    const missing = { code: 'NOT_FOUND' }
    await assert.rejects(blob(client, withHeader(origin, '/a', 'bob')), missing)
    await assert.rejects(blob(client, { uri: `${origin.url}/a`, qualifiers: {} }), missing)
    await assert.rejects(directory(client, withHeader(origin, '/a.tar.gz', 'carol')), missing)
  })
})
