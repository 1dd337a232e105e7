import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { build } from '../../src/gen/reapi.js'
import { DirectoryBuilder } from '../../src/importers/directory-builder.ts'
import { DirectoryEncoder } from '../../src/importers/directory-encoder.ts'
import { defaultTreeLimits, type TreeLimits } from '../../src/importers/tree-limits.ts'
import { errorOf } from '../fixtures/asset-errors.ts'

const { Directory } = build.bazel.remote.execution.v2
const whole = { directory: undefined, stripPrefix: undefined }

function builder(limits: Partial<TreeLimits> = {}): DirectoryBuilder {
  return new DirectoryBuilder({
    digestFunction: 'SHA256',
    limits: { ...defaultTreeLimits, ...limits },
  })
}

function addFile(tree: DirectoryBuilder, path: string, content = '', isExecutable = false): void {
  const node = tree.addFile(path, isExecutable)
  node.hash = createHash('sha256').update(content).digest('hex')
  node.sizeBytes = Buffer.byteLength(content)
}

/** All Directories by hash, and the root. */
function finish(tree: DirectoryBuilder, selected: Parameters<typeof tree.directories>[0] = whole) {
  const blobs = new Map<string, Buffer>()
  const directories = tree.directories(selected)
  for (;;) {
    const next = directories.next()
    if (next.done) return { root: next.value, blobs }
    blobs.set(next.value.digests[0]?.hash ?? '', Buffer.from(next.value.bytes))
  }
}

/** The names at the root. */
function names(tree: DirectoryBuilder, selected?: Parameters<typeof tree.directories>[0]) {
  const { root, blobs } = finish(tree, selected)
  const { files, directories, symlinks } = Directory.decode(blobs.get(root.hash) ?? Buffer.alloc(0))
  return [...files, ...directories, ...symlinks].map(({ name }) => name)
}

describe('directory builder', () => {
  test('writes the bytes that the specification gives', () => {
    const tree = builder()
    addFile(tree, 'run.sh', 'hi', true)
    tree.addDirectory('empty')
    tree.addSymlink('link', 'run.sh')
    const { root, blobs } = finish(tree)
    const hash = createHash('sha256').update('hi').digest('hex')
    const empty = createHash('sha256').digest('hex')
    // Field by field: files = 1, directories = 2, symlinks = 3; is_executable = 4 of a file.
    const expected = Buffer.concat([
      Buffer.from([0x0a, 8 + 2 + 68 + 2, 0x0a, 6]),
      Buffer.from('run.sh'),
      Buffer.from([0x12, 68, 0x0a, 64]),
      Buffer.from(hash),
      Buffer.from([0x10, 2, 0x20, 1]),
      Buffer.from([0x12, 7 + 2 + 66, 0x0a, 5]),
      Buffer.from('empty'),
      Buffer.from([0x12, 66, 0x0a, 64]),
      Buffer.from(empty),
      Buffer.from([0x1a, 6 + 8, 0x0a, 4]),
      Buffer.from('link'),
      Buffer.from([0x12, 6]),
      Buffer.from('run.sh'),
    ])
    assert.deepEqual(blobs.get(root.hash), expected)
    assert.equal(root.hash, createHash('sha256').update(expected).digest('hex'))
    assert.equal(root.sizeBytes, expected.length)
    assert.equal(blobs.size, 1, 'the empty Directory is the empty blob, which needs no upload')
  })

  test('writes what the generated codec writes, whatever the sizes', () => {
    const encoder = new DirectoryEncoder()
    const name = fc.string({ minLength: 1, maxLength: 300, unit: 'binary' })
    const hash = fc.constantFrom('0'.repeat(64), 'a'.repeat(32), 'f'.repeat(128))
    const sizeBytes = fc.oneof(
      fc.maxSafeNat(),
      fc.constantFrom(0, 1, 127, 128, 2 ** 32, 2 ** 53 - 1),
    )
    const file = fc.record({ name, hash, sizeBytes, isExecutable: fc.boolean() })
    const child = fc.record({ name, hash, sizeBytes })
    const link = fc.record({ name, target: name })
    const parts = fc.record({
      files: fc.array(file),
      directories: fc.array(child),
      symlinks: fc.array(link),
    })
    fc.assert(
      fc.property(parts, ({ files, directories, symlinks }) => {
        const node = (each: { name: string; hash: string; sizeBytes: number }) => ({
          name: each.name,
          digest: { hash: each.hash, sizeBytes: each.sizeBytes },
        })
        const message = {
          files: files.map((each) => ({ ...node(each), isExecutable: each.isExecutable })),
          directories: directories.map(node),
          symlinks,
        }
        const expected = Buffer.from(Directory.encode(message).finish())
        const written = encoder.encode({ files, directories, symlinks })
        assert.deepEqual(Buffer.from(written), expected)
      }),
    )
  })

  test('sorts by UTF-8 bytes, where UTF-16 units would sort otherwise', () => {
    const tree = builder()
    // U+1F600 is d83d de00 in UTF-16, before U+FF5E, and f0 … in UTF-8, after it.
    for (const name of ['\u{1f600}', '\uff5e', 'b', 'a', 'B']) addFile(tree, name)
    assert.deepEqual(names(tree), ['B', 'a', 'b', '\uff5e', '\u{1f600}'])
  })

  test('reads ./a, a/ and a//b as the paths they mean', () => {
    const tree = builder()
    tree.addDirectory('./')
    tree.addDirectory('./d/')
    addFile(tree, './d//f')
    addFile(tree, 'd/./g')
    const { root, blobs } = finish(tree)
    assert.equal(blobs.size, 2)
    assert.equal(Directory.decode(blobs.get(root.hash) ?? Buffer.alloc(0)).directories.length, 1)
    assert.deepEqual(names(tree, { directory: 'd', stripPrefix: undefined }), ['f', 'g'])
  })

  test('takes the later of two files or links, and refuses other changes of kind', () => {
    const tree = builder()
    addFile(tree, 'a', 'one')
    addFile(tree, 'a', 'two', true)
    tree.addSymlink('a', 'b')
    addFile(tree, 'd/f')
    assert.deepEqual(names(tree), ['d', 'a'])
    assert.match(errorOf(() => addFile(tree, 'd')).message, /"d" is a directory as well/)
    assert.match(
      errorOf(() => addFile(tree, 'd/f/g')).message,
      /"d\/f\/g" needs "f" as a directory/,
    )
    assert.match(errorOf(() => tree.addDirectory('a')).message, /"a" needs "a" as a directory/)
    assert.match(errorOf(() => addFile(tree, 'a/x')).message, /which is a symlink/)
  })

  test('gives a hard link the content and mode of the earlier entry', () => {
    const tree = builder()
    addFile(tree, 'd/a', 'text', true)
    tree.addHardLink('b', './d/a')
    const { root, blobs } = finish(tree)
    const [file] = Directory.decode(blobs.get(root.hash) ?? Buffer.alloc(0)).files
    assert.equal(file?.isExecutable, true)
    assert.equal(file?.digest?.hash, createHash('sha256').update('text').digest('hex'))
    assert.match(
      errorOf(() => tree.addHardLink('c', 'gone')).message,
      /"c".*"gone".*not an earlier/,
    )
    assert.match(errorOf(() => tree.addHardLink('c', 'd')).message, /which is a directory/)
  })

  test('selects below strip_prefix and directory, and leaves the rest out', () => {
    const tree = builder()
    addFile(tree, 'pkg-1/src/lib/f')
    addFile(tree, 'pkg-1/top')
    addFile(tree, 'other')
    assert.deepEqual(names(tree, { stripPrefix: 'pkg-1/', directory: undefined }), ['top', 'src'])
    assert.deepEqual(names(tree, { stripPrefix: 'pkg-1', directory: './src/lib' }), ['f'])
    const selected = finish(tree, { stripPrefix: 'pkg-1', directory: 'src' })
    assert.equal(selected.blobs.size, 2, 'no Directory beyond the selected ones')
    const missing = { stripPrefix: 'pkg-2', directory: undefined }
    assert.match(errorOf(() => finish(tree, missing), 'NOT_FOUND').message, /strip_prefix "pkg-2"/)
    const file = { stripPrefix: undefined, directory: 'pkg-1/top' }
    assert.match(errorOf(() => finish(tree, file), 'NOT_FOUND').message, /directory "pkg-1\/top"/)
    for (const directory of ['/abs', '../up', 'a/../b', 'nul\0']) {
      errorOf(() => finish(tree, { stripPrefix: undefined, directory }))
    }
  })

  test('emits equal Directories once', () => {
    const tree = builder()
    for (const parent of ['x', 'y', 'z']) addFile(tree, `${parent}/same/f`, 'text')
    assert.equal(finish(tree).blobs.size, 3)
  })

  test('names the limit and the entry that exceed it', () => {
    const cases: readonly [keyof TreeLimits, number, (tree: DirectoryBuilder) => void][] = [
      ['entriesMax', 2, (tree) => addFile(tree, 'a/b/entry')],
      ['depthMax', 2, (tree) => addFile(tree, 'a/b/entry')],
      ['nameBytesMax', 4, (tree) => addFile(tree, 'entry')],
      ['nameBytesMax', 15, (tree) => addFile(tree, 'entry/ääääääää')],
      ['pathBytesMax', 9, (tree) => addFile(tree, 'abc/entry/x')],
      ['pathBytesMax', 9, (tree) => tree.addSymlink('entry', 'abc/abc/abc')],
      ['unpackedBytesMax', 9, (tree) => tree.claimBytes('entry', 10)],
    ]
    for (const [limit, value, add] of cases) {
      const error = errorOf(() => add(builder({ [limit]: value })), 'RESOURCE_EXHAUSTED')
      assert.match(error.message, new RegExp(`${limit} = ${value}.*entry`))
    }
    const tree = builder({ entriesMax: 3, depthMax: 3, nameBytesMax: 5, unpackedBytesMax: 9 })
    addFile(tree, 'a/b/entry')
    tree.claimBytes('a/b/entry', 9)
  })
})
