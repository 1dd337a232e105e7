import assert from 'node:assert/strict'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Digest, digestText } from '../../src/asset/digest.ts'
import { AssetError } from '../../src/asset/errors.ts'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { build } from '../../src/gen/reapi.js'
import { createByteStreamService } from '../../src/services/byte-stream.ts'
import { createContentAddressableStorageService } from '../../src/services/content-addressable-storage.ts'
import { createInstances } from '../../src/services/instances.ts'
import { digestFunctionFromProto, digestFunctionToProto } from '../../src/wire/digests.ts'
import { createGrpcServer } from '../../src/wire/grpc-server.ts'
import {
  bindService,
  byteStreamService,
  contentAddressableStorageService,
  fetchService,
} from '../../src/wire/methods.ts'
import { putBlob } from '../fixtures/cache-services.ts'
import { runLarder } from './run-larder.ts'

const { Directory } = build.bazel.remote.execution.v2

const sizes = { blobSizeBytesMax: 64 * 1024 * 1024 }

/** A server whose Fetch answers from a table of URIs, over the real CAS services. */
async function start(t: TestContext) {
  const store = new MemoryBlobStore(sizes)
  const instances = createInstances(undefined)
  const assets = new Map<string, Digest>()
  const asked: { qualifiers: unknown; timeout: unknown }[] = []
  const answer = async (request: {
    uris?: string[] | null
    qualifiers?: unknown
    timeout?: unknown
    digestFunction?: number | null
  }) => {
    asked.push({ qualifiers: request.qualifiers, timeout: request.timeout })
    const uri = request.uris?.[0] ?? ''
    const digest = assets.get(uri)
    if (!digest) throw new AssetError('NOT_FOUND', `nothing at ${uri}`)
    assert.equal(digestFunctionFromProto(request.digestFunction), digest.function)
    const { hash, sizeBytes } = digest
    const digestFunction = digestFunctionToProto(digest.function)
    return { uri, digestFunction, found: { hash, sizeBytes } }
  }
  const server = createGrpcServer({
    services: [
      bindService(fetchService, {
        FetchBlob: async (request) => {
          const { found, ...rest } = await answer(request)
          return { ...rest, blobDigest: found }
        },
        FetchDirectory: async (request) => {
          const { found, ...rest } = await answer(request)
          return { ...rest, rootDirectoryDigest: found }
        },
      }),
      bindService(byteStreamService, createByteStreamService({ store, instances })),
      bindService(
        contentAddressableStorageService,
        createContentAddressableStorageService({ store, instances }),
      ),
    ],
  })
  const { address } = await server.listen('127.0.0.1:0')
  t.after(() => server[Symbol.asyncDispose]())
  const directory = await mkdtemp(join(tmpdir(), 'larder-cli-'))
  t.after(() => rm(directory, { recursive: true }))
  const run = (...args: string[]) =>
    runLarder([...args, '--server', `grpc://${address}`], { LARDER_LOG_LEVEL: 'debug' })
  return { store, assets, asked, directory, run }
}

const uri = 'https://origin.example/a.bin'
const large = Buffer.alloc(5_000_000, 'larder')

test('prints the digest and the URI, as text and as JSON', async (t) => {
  const { store, assets, asked, run } = await start(t)
  const digest = await putBlob(store, 'content')
  assets.set(uri, digest)
  const plain = await run('fetch', uri, '--qualifier', 'a=b=c', '--timeout', '90s')
  assert.equal(plain.stdout.toString(), `${digestText(digest)}  ${uri}\n`)
  assert.equal(plain.stderr, '')
  assert.equal(JSON.stringify(asked[0]?.qualifiers), '[{"name":"a","value":"b=c"}]')
  assert.match(JSON.stringify(asked[0]?.timeout), /"seconds":"?90/)
  const json = await run('fetch', uri, '--json')
  assert.deepEqual(JSON.parse(json.stdout.toString()), {
    digestFunction: 'SHA256',
    hash: digest.hash,
    sizeBytes: 7,
    uri,
    qualifiers: [],
  })
})

test('stores a file under any digest function, and leaves nothing beside it', async (t) => {
  const { store, assets, directory, run } = await start(t)
  for (const name of ['SHA256', 'BLAKE3', 'SHA512'] as const) {
    assets.set(uri, await putBlob(store, large, name))
    const output = join(directory, name)
    const { code, stderr } = await run('fetch', uri, '--output', output, '--digest-function', name)
    assert.equal(code, 0, stderr)
    assert.ok(large.equals(await readFile(output)))
  }
  assert.deepEqual(await readdir(directory), ['BLAKE3', 'SHA256', 'SHA512'])
})

test('what is not there is one sentence, and no file', async (t) => {
  const { assets, directory, run } = await start(t)
  const missing = await run('fetch', uri, '--output', join(directory, 'x'))
  assert.equal(missing.stderr, `larder: NOT_FOUND: nothing at ${uri}\n`)
  assert.equal(missing.code, 1)
  assets.set(uri, { function: 'SHA256', hash: 'a'.repeat(64), sizeBytes: 3 })
  const dangling = await run('fetch', uri, '--output', join(directory, 'x'))
  assert.match(dangling.stderr, /^larder: NOT_FOUND: .*\n$/)
  assert.deepEqual(await readdir(directory), [])
})

test('a path that cannot be written is one sentence', async (t) => {
  const { store, assets, directory, run } = await start(t)
  assets.set(uri, await putBlob(store, 'content'))
  assert.equal((await run('fetch', uri, '--output', join(directory, 'file'))).code, 0)
  const cases: readonly [path: string, reason: RegExp][] = [
    ['file/x', /file\/x cannot be written: a part of the path is a file, not a directory\.\n$/],
    ['nowhere/x', /nowhere\/x cannot be written: its directory does not exist\.\n$/],
  ]
  for (const [path, reason] of cases) {
    const { code, stderr } = await run('fetch', uri, '--output', join(directory, path))
    assert.match(stderr, reason)
    assert.equal(code, 1)
  }
  assert.deepEqual(await readdir(directory), ['file'])
})

test('cat writes the blob to standard output', async (t) => {
  const { store, run } = await start(t)
  const sha = await run('cat', digestText(await putBlob(store, large)))
  assert.ok(large.equals(sha.stdout), sha.stderr)
  const blake = await run('cat', digestText(await putBlob(store, large, 'BLAKE3')))
  assert.ok(large.equals(blake.stdout), blake.stderr)
})

type DirectoryMessage = Parameters<typeof Directory.encode>[0]

function putTree(store: MemoryBlobStore, message: DirectoryMessage): Promise<Digest> {
  return putBlob(store, Directory.encode(message).finish())
}

test('makes a directory, with modes, symlinks and large files', async (t) => {
  const { store, assets, directory, run } = await start(t)
  const small = await putBlob(store, 'small')
  const below = await putTree(store, {
    files: [
      { name: 'again', digest: small },
      { name: 'large', digest: await putBlob(store, large) },
      { name: 'nothing', digest: await putBlob(store, '') },
    ],
    symlinks: [{ name: 'up', target: '../tool' }],
  })
  const root = await putTree(store, {
    files: [{ name: 'tool', digest: small, isExecutable: true }],
    directories: [
      { name: 'one', digest: below },
      { name: 'two', digest: below },
    ],
  })
  assets.set(uri, root)
  const output = join(directory, 'tree')
  const { code, stderr } = await run('fetch', uri, '--directory', '--output', output)
  assert.equal(code, 0, stderr)
  assert.deepEqual(await readdir(directory), ['tree'])
  assert.deepEqual((await readdir(output, { recursive: true })).sort(), [
    'one',
    'one/again',
    'one/large',
    'one/nothing',
    'one/up',
    'tool',
    'two',
    'two/again',
    'two/large',
    'two/nothing',
    'two/up',
  ])
  assert.ok(large.equals(await readFile(join(output, 'two/large'))))
  assert.equal(await readFile(join(output, 'one/nothing'), 'utf8'), '')
  assert.equal(await readlink(join(output, 'one/up')), '../tool')
  assert.equal((await lstat(join(output, 'tool'))).mode & 0o100, 0o100)
  assert.equal((await lstat(join(output, 'one/again'))).mode & 0o111, 0)

  const again = await run('fetch', uri, '--directory', '--output', output)
  assert.match(again.stderr, /^larder: .*tree exists already; .*\n$/)
  assert.equal(again.code, 1)
})

test('trees that would write elsewhere are refused whole', async (t) => {
  const { store, assets, directory, run } = await start(t)
  await mkdir(join(directory, 'here'))
  const evil = await putBlob(store, 'evil')
  const trees: readonly DirectoryMessage[] = [
    { files: [{ name: '../evil', digest: evil }] },
    { files: [{ name: '..', digest: evil }] },
    { files: [{ name: '/evil', digest: evil }] },
    { files: [{ name: 'a\\b', digest: evil }] },
    { files: [{ name: 'a', digest: evil }], symlinks: [{ name: 'a', target: '.' }] },
    { symlinks: [{ name: 'out', target: '../../evil' }] },
    { symlinks: [{ name: 'out', target: '/etc/passwd' }] },
    { files: [{ name: 'missing', digest: { hash: 'b'.repeat(64), sizeBytes: 4 } }] },
  ]
  for (const tree of trees) {
    assets.set(uri, await putTree(store, tree))
    const output = join(directory, 'here/tree')
    const { code, stderr } = await run('fetch', uri, '--directory', '--output', output)
    assert.match(stderr, /^larder: [A-Z_]+: .*\n$/)
    assert.equal(code, 1)
    assert.deepEqual(await readdir(directory, { recursive: true }), ['here'])
  }
})
