import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { type Digest, digestText } from '../../src/asset/digest.ts'
import { build } from '../../src/gen/reapi.js'
import { digestToProto } from '../../src/wire/digests.ts'
import { contentAddressableStorageService } from '../../src/wire/methods.ts'
import {
  putBlob,
  putDirectory,
  sha256Digest,
  startCacheServer,
  storeKinds,
} from '../fixtures/cache-services.ts'

const { GetTree } = contentAddressableStorageService.methods
const { Directory, GetTreeResponse } = build.bazel.remote.execution.v2

const node = (name: string, digest: Digest) => ({ name, digest: digestToProto(digest) })
const invalid = { code: 'INVALID_ARGUMENT' }

interface Options {
  readonly pageSize?: number
  readonly pageToken?: string
}

for (const [kind, open] of Object.entries(storeKinds)) {
  const opened = await open({ blobSizeBytesMax: 32 * 1024 ** 2 })
  const { store } = opened
  const server = await startCacheServer(opened)
  const { client } = server
  after(async () => {
    await server[Symbol.asyncDispose]()
    await opened[Symbol.asyncDispose]()
  })

  const pagesOf = (root: Digest, options: Options = {}) =>
    Array.fromAsync(client.serverStream(GetTree, { rootDigest: digestToProto(root), ...options }))

  const namesOf = async (root: Digest, options: Options = {}) =>
    (await pagesOf(root, options)).flatMap(({ directories }) =>
      directories.map((message) =>
        digestText(sha256Digest(Buffer.from(Directory.encode(message).finish()))),
      ),
    )

  const putWide = async (width: number, seed: string, padding = '') => {
    const children: Digest[] = []
    for (let index = 0; index < width; index += 1) {
      const target = `${seed} ${index} ${padding}`
      children.push(await putDirectory(store, { symlinks: [{ name: 's', target }] }))
    }
    const nodes = children.map((child, index) => node(String(index).padStart(5, '0'), child))
    return { root: await putDirectory(store, { directories: nodes }), children }
  }

  describe(`GetTree over ${kind}`, () => {
    test('sends the whole tree in one stream, each Directory once', async () => {
      const { root, children } = await putWide(40, 'once')
      const nested = await putDirectory(store, {
        directories: [node('again', children[0] ?? root), node('below', root)],
      })
      assert.deepEqual(
        await namesOf(nested),
        [nested, children[0] ?? root, root, ...children.slice(1)].map(digestText),
      )
    })

    test('a page has at most page_size Directories, the last one no token', async () => {
      const { root } = await putWide(9, 'pages')
      const pages = await pagesOf(root, { pageSize: 3 })
      assert.deepEqual(
        pages.map((page) => page.directories.length),
        [3, 3, 3, 1],
      )
      assert.deepEqual(
        pages.map((page) => page.nextPageToken !== ''),
        [true, true, true, false],
      )
    })

    test('each token goes on where its page ended', async () => {
      const { root } = await putWide(9, 'tokens')
      const all = await namesOf(root)
      const pages = await pagesOf(root, { pageSize: 4 })
      for (const [index, { nextPageToken: pageToken }] of pages.slice(0, -1).entries()) {
        assert.deepEqual(await namesOf(root, { pageToken }), all.slice((index + 1) * 4))
      }
    })

    test('pages stay below 2 MiB', async () => {
      const { root } = await putWide(60, 'large', 'x'.repeat(100_000))
      const pages = await pagesOf(root)
      assert.equal(pages.flatMap((page) => page.directories).length, 61)
      for (const page of pages) {
        assert.ok(GetTreeResponse.encode(page).finish().byteLength <= 2 * 1024 ** 2 + 1000)
      }
    })

    test('a Directory between 2 and 4 MiB is a page of its own, a larger one an error', async () => {
      const large = (length: number) =>
        putDirectory(store, { symlinks: [{ name: 's', target: 'y'.repeat(length) }] })
      const root = await putDirectory(store, {
        directories: [node('large', await large(3_000_000))],
      })
      assert.deepEqual(
        (await pagesOf(root)).map((page) => page.directories.length),
        [1, 1],
      )
      const beyond = await putDirectory(store, {
        directories: [node('larger', await large(4_200_000))],
      })
      await assert.rejects(pagesOf(beyond), { code: 'RESOURCE_EXHAUSTED' })
    })

    test('children that are not held are left out', async () => {
      const present = await putDirectory(store, { symlinks: [{ name: 'p', target: 'q' }] })
      const root = await putDirectory(store, {
        directories: [node('absent', sha256Digest('absent')), node('present', present)],
      })
      assert.deepEqual(await namesOf(root), [root, present].map(digestText))
    })

    test('the empty Directory is a tree', async () => {
      assert.deepEqual(await namesOf(sha256Digest('')), [digestText(sha256Digest(''))])
    })

    test('an absent root is NOT_FOUND, a root that is no Directory INVALID_ARGUMENT', async () => {
      await assert.rejects(pagesOf(sha256Digest('no root')), { code: 'NOT_FOUND' })
      const file = await putBlob(store, 'a file and no Directory')
      await assert.rejects(pagesOf(file), invalid)
      await assert.rejects(Array.fromAsync(client.serverStream(GetTree, {})), invalid)
    })

    test('tokens of another tree, of nothing and negative sizes are refused', async () => {
      const { root } = await putWide(3, 'refused')
      const { root: other } = await putWide(3, 'another')
      const [page] = await pagesOf(other, { pageSize: 1 })
      const unknown = Buffer.from(`1 ${digestText(root)} ${'0'.repeat(64)}/5`)
      for (const pageToken of [page?.nextPageToken ?? '', 'x', unknown.toString('base64url')]) {
        await assert.rejects(pagesOf(root, { pageToken }), invalid)
      }
      await assert.rejects(pagesOf(root, { pageSize: -1 }), invalid)
    })
  })
}
