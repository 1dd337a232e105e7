import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { create } from 'tar'
import { rejectionOf } from '../fixtures/asset-errors.ts'
import { diskTreeDigest } from '../fixtures/disk-tree.ts'
import { importSetup, never, selection, storeBytes } from '../fixtures/import-setup.ts'
import { entryBlocks, paxBlocks, tarBytes } from '../fixtures/tar-bytes.ts'

const small = [
  { path: 'd/', type: 'Directory' as const, mode: 0o755 },
  { path: 'd/hello', content: 'hello\n' },
  { path: 'd/run', content: '#!/bin/sh\n', mode: 0o755 },
  { path: 'd/link', type: 'SymbolicLink' as const, linkpath: 'hello' },
  { path: 'd/hard', type: 'Link' as const, linkpath: 'd/run' },
  { path: 'empty', content: '' },
]
const smallTree = {
  d: 'dir',
  'd/hello': 'hello\n',
  'd/run': '*#!/bin/sh\n',
  'd/hard': '*#!/bin/sh\n',
  'd/link': '-> hello',
  empty: '',
}

describe('archive import', () => {
  const formats: readonly [string, (tar: Buffer) => Buffer][] = [
    ['plain tar', (tar) => tar],
    ['gzip', (tar) => gzipSync(tar)],
    [
      'gzip of several members',
      (tar) => {
        return Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))])
      },
    ],
    ['gzip padded with zeros', (tar) => Buffer.concat([gzipSync(tar), Buffer.alloc(512)])],
    ['zstd', (tar) => zstdCompressSync(tar)],
    [
      'zstd of several frames',
      (tar) => {
        return Buffer.concat([
          zstdCompressSync(tar.subarray(0, 700)),
          zstdCompressSync(tar.subarray(700)),
        ])
      },
    ],
  ]
  for (const [name, pack] of formats) {
    test(`reads ${name}`, async () => {
      await using setup = importSetup()
      const root = await setup.importBytes(pack(tarBytes(small)))
      assert.deepEqual(await setup.list(root), smallTree)
    })
  }

  test('names the tree by the function asked for, all of it', async () => {
    await using setup = importSetup()
    for (const digestFunction of ['BLAKE3', 'SHA512', 'SHA1'] as const) {
      const root = await setup.importBytes(tarBytes(small), { digestFunction })
      assert.equal(root.function, digestFunction)
      assert.deepEqual(await setup.list(root), smallTree)
    }
  })

  test('selects by strip_prefix and directory', async () => {
    await using setup = importSetup()
    const root = await setup.importBytes(tarBytes(small), { stripPrefix: 'd' })
    assert.deepEqual(Object.keys(await setup.list(root)).sort(), ['hard', 'hello', 'link', 'run'])
    const error = setup.importBytes(tarBytes(small), { directory: 'no/such' })
    assert.match((await rejectionOf(error, 'NOT_FOUND')).message, /directory "no\/such"/)
  })

  test('reads long names of GNU and pax, with any character', async () => {
    const name = `${'ä/'.repeat(120)}line\nfeed ${'ü'.repeat(100)}`
    const gnu = [...entryBlocks({ path: '././@LongLink', content: `${name}\0`, flag: 'L' })]
    const pax = paxBlocks({ path: name, mtime: '1.5' })
    for (const header of [gnu, pax]) {
      await using setup = importSetup()
      const tar = Buffer.concat([...header, tarBytes([{ path: 'short', content: 'x' }])])
      const tree = await setup.list(await setup.importBytes(tar))
      assert.equal(tree[name], 'x')
    }
  })

  test('takes a pax name instead of the prefix and name in the header, and a pax link', async () => {
    await using setup = importSetup()
    const path = `${'p'.repeat(90)}/${'n'.repeat(90)}`
    const target = 't'.repeat(200)
    const tar = Buffer.concat([
      ...paxBlocks({ path, linkpath: target }),
      tarBytes([{ path, type: 'SymbolicLink', linkpath: 'short' }]),
    ])
    const tree = await setup.list(await setup.importBytes(tar))
    assert.deepEqual(tree, { ['p'.repeat(90)]: 'dir', [path]: `-> ${target}` })
  })

  test('applies a pax size, and a global header to all entries but not as their name', async () => {
    await using setup = importSetup()
    const tar = Buffer.concat([
      ...paxBlocks({ path: 'wrong', comment: 'commit id' }, 'g'),
      ...paxBlocks({ size: '3' }),
      ...entryBlocks({ path: 'a', content: 'abc', size: 0 }),
      tarBytes([{ path: 'b', content: 'b' }]),
    ])
    assert.deepEqual(await setup.list(await setup.importBytes(tar)), { a: 'abc', b: 'b' })
  })

  test('streams large files, and packs small ones around them', async () => {
    await using setup = importSetup()
    const large = Buffer.alloc(9 * 1024 * 1024 + 17, 'large file ')
    const tar = tarBytes([
      { path: 'a', content: 'a' },
      { path: 'large', content: large },
      { path: 'hard', type: 'Link', linkpath: 'large' },
      { path: 'middle', content: large.subarray(0, 4 * 1024 * 1024) },
      { path: 'z', content: 'z' },
    ])
    for (const digestFunction of ['SHA256', 'BLAKE3'] as const) {
      const tree = await setup.list(await setup.importBytes(gzipSync(tar), { digestFunction }))
      assert.deepEqual(Object.keys(tree).sort(), ['a', 'hard', 'large', 'middle', 'z'])
      assert.ok(tree.large === large.toString() && tree.hard === tree.large)
      assert.equal(tree.middle?.length, 4 * 1024 * 1024)
    }
  })

  test('reads an empty archive as the empty directory', async () => {
    await using setup = importSetup()
    const root = await setup.importBytes(gzipSync(tarBytes([])))
    assert.deepEqual(root, { function: 'SHA256', hash: diskEmpty, sizeBytes: 0 })
  })

  test('says what it is that it cannot read', async () => {
    await using setup = importSetup()
    const cases: readonly [Buffer, RegExp][] = [
      [Buffer.from('fd377a585a000000', 'hex'), /looks like xz/],
      [Buffer.from('PK\x03\x04rest of a zip'), /looks like zip/],
      [Buffer.from('BZh91AY&SY'), /looks like bzip2/],
      [Buffer.from('<!DOCTYPE html><html>'), /looks like an HTML page/],
      [Buffer.alloc(2048, 'text'), /looks like no archive/],
      [Buffer.alloc(0), /looks like an empty file/],
      [gzipSync('just a text file, packed'), /holds no entry/],
      [gzipSync(Buffer.alloc(2048, 'text')), /not a tar archive/],
    ]
    for (const [bytes, message] of cases) {
      const error = await rejectionOf(setup.importBytes(bytes), 'INVALID_ARGUMENT')
      assert.match(error.message, message)
    }
  })

  test('is stopped by its signal, for its reason, and the next import works', async () => {
    await using setup = importSetup()
    const digest = await storeBytes(setup.store, tarBytes(small))
    const fired = AbortSignal.abort(new DOMException('timed out', 'TimeoutError'))
    await rejectionOf(
      setup.importers.importArchive(digest, selection(), fired),
      'DEADLINE_EXCEEDED',
    )
    const abort = new AbortController()
    const importing = setup.importers.importArchive(digest, selection(), abort.signal)
    abort.abort()
    await rejectionOf(importing, 'CANCELLED')
    const roots = await Promise.all(
      Array.from({ length: 6 }, () => setup.importers.importArchive(digest, selection(), never)),
    )
    assert.equal(new Set(roots.map(({ hash }) => hash)).size, 1)
  })

  test('rejects with NOT_FOUND if the archive is not in the store', async () => {
    await using setup = importSetup()
    const digest = { function: 'SHA256' as const, hash: 'a'.repeat(64), sizeBytes: 5 }
    await rejectionOf(setup.importers.importArchive(digest, selection(), never), 'NOT_FOUND')
  })
})

const diskEmpty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('archive import, against trees on disk', () => {
  const name = fc
    .string({ minLength: 1, maxLength: 40, unit: 'grapheme' })
    .map((text) => text.replace(/[/\0]/g, '_'))
    .filter((text) => !/^\.{1,2}$/.test(text) && Buffer.byteLength(text) <= 255)
  const leaf = fc.oneof(
    fc.record({ content: fc.uint8Array({ maxLength: 3000 }), isExecutable: fc.boolean() }),
    fc.record({ target: fc.constantFrom('a', 'b/c', './x y', 'ä') }),
  )
  interface Tree {
    readonly children: Readonly<Record<string, TreeNode>>
  }
  type TreeNode = Tree | { content: Uint8Array; isExecutable: boolean } | { target: string }
  const { tree } = fc.letrec<{ tree: Tree; node: TreeNode }>((tie) => ({
    node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('tree')),
    tree: fc.record({ children: fc.dictionary(name, tie('node'), { maxKeys: 6 }) }),
  }))

  async function write(directory: string, { children }: Tree): Promise<void> {
    await mkdir(directory)
    for (const [entry, node] of Object.entries(children)) {
      const path = join(directory, entry)
      if ('children' in node) await write(path, node)
      else if ('target' in node) await symlink(node.target, path)
      else await writeFile(path, node.content, { mode: node.isExecutable ? 0o755 : 0o644 })
    }
  }

  test('a tree packed by GNU tar or node-tar has the digest of the tree on disk', async () => {
    await using setup = importSetup()
    const scratch = await mkdtemp(join(tmpdir(), 'larder-tar-'))
    let run = 0
    try {
      await fc.assert(
        fc.asyncProperty(tree, fc.constantFrom('gnu', 'pax', 'node-tar'), async (entries, by) => {
          const directory = join(scratch, `tree-${run++}`)
          await write(directory, entries)
          const tar = by === 'node-tar' ? await nodeTar(directory) : gnuTar(directory, by)
          const root = await setup.importBytes(gzipSync(tar, { level: 1 }))
          assert.deepEqual(root, { function: 'SHA256', ...diskTreeDigest(directory) })
        }),
        { numRuns: 40, endOnFailure: true },
      )
    } finally {
      await rm(scratch, { recursive: true })
    }
  })

  function gnuTar(directory: string, format: string): Buffer {
    return execFileSync('tar', ['-c', `--format=${format}`, '-C', directory, '.'])
  }

  async function nodeTar(directory: string): Promise<Buffer> {
    const chunks = await Array.fromAsync(create({ cwd: directory, portable: true }, ['.']))
    return Buffer.concat(chunks as Buffer[])
  }
})
