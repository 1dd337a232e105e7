import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Digest, digestText } from '../../src/asset/digest.ts'
import { AssetError } from '../../src/asset/errors.ts'
import {
  decodeDirectory,
  decodeTreeDirectories,
  directoryLinks,
} from '../../src/cas/directory-codec.ts'
import {
  defaultDirectoryWalkLimits,
  findMissingInTree,
  walkDirectories,
} from '../../src/cas/directory-walk.ts'
import { MemoryBlobStore } from '../../src/cas/memory-blob-store.ts'
import { build } from '../../src/gen/reapi.js'
import { digestToProto } from '../../src/wire/digests.ts'
import { putBlob, putDirectory, sha256Digest } from '../fixtures/cache-services.ts'

const { Directory, Tree } = build.bazel.remote.execution.v2

const node = (name: string, digest: Digest) => ({ name, digest: digestToProto(digest) })

async function walk(store: MemoryBlobStore, root: Digest, limits = defaultDirectoryWalkLimits) {
  const batches = await Array.fromAsync(walkDirectories(store, root, limits))
  return batches.flat()
}

/** A root with a chain of `depth` Directories below it and a file at its end. */
async function putChain(store: MemoryBlobStore, depth: number): Promise<Digest> {
  let digest = await putDirectory(store, { files: [node('f', await putBlob(store, 'end'))] })
  for (let level = 0; level < depth; level += 1) {
    digest = await putDirectory(store, { directories: [node(`d${level}`, digest)] })
  }
  return digest
}

describe('walking Directories', () => {
  test('goes breadth first and visits each distinct one once', async () => {
    const store = new MemoryBlobStore()
    const file = await putBlob(store, 'file')
    const leaf = await putDirectory(store, { files: [node('f', file)] })
    const left = await putDirectory(store, { directories: [node('leaf', leaf)] })
    const right = await putDirectory(store, {
      directories: [node('leaf', leaf), node('other', leaf)],
      files: [node('g', file)],
    })
    const root = await putDirectory(store, { directories: [node('l', left), node('r', right)] })
    const walked = await walk(store, root)
    assert.deepEqual(
      walked.map((step) => digestText(step.digest)),
      [root, left, right, leaf].map(digestText),
    )
    assert.equal(await findMissingInTree(store, root), undefined)
  })

  test('thousands of Directories are walked over several batches', async () => {
    const store = new MemoryBlobStore()
    const children: Digest[] = []
    for (let index = 0; index < 3000; index += 1) {
      const file = await putBlob(store, `file ${index}`)
      children.push(await putDirectory(store, { files: [node('f', file)] }))
    }
    const nodes = children.map((child, index) => node(String(index).padStart(4, '0'), child))
    const root = await putDirectory(store, { directories: nodes })
    assert.equal((await walk(store, root)).length, 3001)
    assert.equal(await findMissingInTree(store, root), undefined)
    const gone = sha256Digest('file 2999')
    store.evict(gone)
    assert.deepEqual(await findMissingInTree(store, root), gone)
  })

  test('whatever is taken away from a tree is missed, and nothing else', async () => {
    const shape = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(shape, fc.nat(), async (parents, victim) => {
        const store = new MemoryBlobStore()
        const parts: Digest[] = []
        let below: Digest[] = []
        for (const [index, width] of parents.entries()) {
          const file = await putBlob(store, `file of ${index}`)
          const directories = below.slice(0, width).map((digest, at) => node(`d${at}`, digest))
          const kept = below.slice(width)
          const digest = await putDirectory(store, { directories, files: [node('f', file)] })
          parts.push(file, digest)
          below = [digest, ...kept]
        }
        const directories = below.map((digest, at) => node(`top${at}`, digest))
        const root = await putDirectory(store, { directories })
        parts.push(root)
        assert.equal(await findMissingInTree(store, root), undefined)
        const gone = parts[victim % parts.length] ?? root
        store.evict(gone)
        assert.deepEqual(await findMissingInTree(store, root), gone)
      }),
      { numRuns: 50 },
    )
  })

  test('the empty Directory is a tree that is always there', async () => {
    const store = new MemoryBlobStore()
    assert.equal(await findMissingInTree(store, sha256Digest('')), undefined)
    assert.deepEqual(await findMissingInTree(store, sha256Digest('gone')), sha256Digest('gone'))
  })

  test('the digests below are under the function of the root', async () => {
    const store = new MemoryBlobStore()
    const file = await putBlob(store, 'named by BLAKE3', 'BLAKE3')
    const bytes = Directory.encode({ files: [node('f', file)] }).finish()
    const root = await putBlob(store, bytes, 'BLAKE3')
    assert.equal(await findMissingInTree(store, root), undefined)
    const [walked] = await walk(store, root)
    assert.deepEqual(walked?.files, [file])
  })

  test('each limit ends the walk and is named', async () => {
    const store = new MemoryBlobStore()
    const root = await putChain(store, 10)
    assert.equal((await walk(store, root)).length, 11)
    for (const [limit, value] of [
      ['directoriesMax', 10],
      ['nodesMax', 10],
      ['depthMax', 10],
      ['directoryBytesMax', 70],
    ] as const) {
      await assert.rejects(walk(store, root, { ...defaultDirectoryWalkLimits, [limit]: value }), {
        code: 'RESOURCE_EXHAUSTED',
        message: new RegExp(`${limit} = ${value}`),
      })
    }
    const exact = { directoriesMax: 11, nodesMax: 11, depthMax: 11, directoryBytesMax: 200 }
    assert.equal((await walk(store, root, exact)).length, 11)
  })

  test('what is not a Directory is INVALID_ARGUMENT', async () => {
    const store = new MemoryBlobStore()
    const file = digestToProto(await putBlob(store, 'file'))
    const bad = [
      Buffer.from('this is no message, is it?'),
      Directory.encode({ files: [{ name: 'no digest' }] }).finish(),
      Directory.encode({ directories: [{ name: 'd', digest: { hash: 'xx' } }] }).finish(),
      Directory.encode({ files: [{ name: 'f', digest: { ...file, sizeBytes: -1 } }] }).finish(),
      Buffer.concat([Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(20)]),
      Buffer.alloc(5000, 0x0b),
    ]
    for (const bytes of bad) {
      const root = await putBlob(store, bytes)
      const expected = { code: 'INVALID_ARGUMENT', message: /is not a Directory/ }
      await assert.rejects(findMissingInTree(store, root), expected)
      const parent = await putDirectory(store, { directories: [node('d', root)] })
      await assert.rejects(findMissingInTree(store, parent), expected)
    }
  })

  test('random bytes never do more than that', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const digest = sha256Digest(bytes)
        for (const decode of [
          () => directoryLinks(digest, decodeDirectory(digest, bytes)),
          () => [...decodeTreeDirectories(digest, bytes)],
        ]) {
          try {
            decode()
          } catch (error) {
            assert.ok(error instanceof AssetError && error.code === 'INVALID_ARGUMENT')
          }
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('fields of a later version survive decoding and encoding', () => {
    const known = Directory.encode({ symlinks: [{ name: 's', target: 't' }] }).finish()
    const bytes = Buffer.concat([known, Buffer.from([0x7a, 3, 1, 2, 3])])
    const digest = sha256Digest(bytes)
    assert.ok(bytes.equals(Directory.encode(decodeDirectory(digest, bytes)).finish()))
  })

  test('the Directories of a Tree come one by one', () => {
    const directory = (name: string) => ({ symlinks: [{ name, target: 'x' }] })
    const bytes = Tree.encode({
      root: directory('root'),
      children: [directory('a'), directory('b')],
    }).finish()
    const found = [...decodeTreeDirectories(sha256Digest(bytes), bytes)]
    assert.deepEqual(
      found.map((message) => message.symlinks?.[0]?.name),
      ['root', 'a', 'b'],
    )
  })
})
