import { type Digest, type DigestFunction, emptyDigest, quoteShort } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { hashBytes } from '../util/hasher.ts'
import { DirectoryEncoder } from './directory-encoder.ts'
import type { TreeSelection } from './importers.ts'
import { escapesTree } from './symlink-check.ts'
import type { TreeLimits } from './tree-limits.ts'
import { type DirectoryNode, emptyDirectory, type FileNode, type TreeNode } from './tree-nodes.ts'
import { badEntry, beyondLimit, selectedPath, splitTreePath } from './tree-path.ts'

export interface DirectoryBuilderOptions {
  readonly digestFunction: DigestFunction
  readonly limits: TreeLimits
}

/** A Directory of the tree. The bytes are valid until the next one is asked for. */
export interface EncodedDirectory {
  readonly bytes: Uint8Array
  /** By SHA256, and by the function of the tree. */
  readonly digests: readonly Digest[]
}

/**
 * Collects the entries of an archive or repository, in its order, and makes canonical Directories of
 * them. A file or symlink given twice is the later one, as tar unpacks it; any other change of kind
 * (a file where a directory is, an entry below a file or symlink) is an error that names the entry.
 * Directories that are not given but lead to an entry come into being, and count.
 *
 * Errors: INVALID_ARGUMENT for an entry that a Directory cannot hold, RESOURCE_EXHAUSTED naming the
 * limit and the entry.
 */
export class DirectoryBuilder {
  readonly #digestFunction: DigestFunction
  readonly #limits: TreeLimits
  readonly #root = emptyDirectory()
  readonly #encoder = new DirectoryEncoder()
  #entries = 0
  #unpackedBytes = 0
  // Entries of one directory mostly follow each other.
  #lastParentPath = ''
  #lastParent = this.#root

  constructor({ digestFunction, limits }: DirectoryBuilderOptions) {
    this.#digestFunction = digestFunction
    this.#limits = limits
  }

  /** Counts content against `unpackedBytesMax`; to be called before the content is read. */
  claimBytes(path: string, sizeBytes: number): void {
    this.#unpackedBytes += sizeBytes
    if (this.#unpackedBytes > this.#limits.unpackedBytesMax) {
      throw beyondLimit('unpackedBytesMax', this.#limits.unpackedBytesMax, path)
    }
  }

  addDirectory(path: string): void {
    this.#directoryAt(splitTreePath(path, this.#limits), path)
  }

  /** The node's hash and size are to be set when the content was read. */
  addFile(path: string, isExecutable: boolean): FileNode {
    const node: FileNode = { type: 'file', isExecutable, hash: '', sizeBytes: 0 }
    this.#put(path, node)
    return node
  }

  addSymlink(path: string, target: string): void {
    if (target === '' || target.includes('\0')) throw badEntry(path, 'has no valid link target')
    if (Buffer.byteLength(target) > this.#limits.pathBytesMax) {
      throw beyondLimit('pathBytesMax', this.#limits.pathBytesMax, path)
    }
    this.#put(path, { type: 'symlink', target })
  }

  /** The same content as an entry given before, which a hard link of tar names by its whole path. */
  addHardLink(path: string, existingPath: string): void {
    let node: TreeNode | undefined = this.#root
    for (const segment of splitTreePath(existingPath, this.#limits)) {
      node = node?.type === 'directory' ? node.children.get(segment) : undefined
    }
    if (!node || node.type === 'directory') {
      const wrong = node ? 'a directory' : 'not an earlier entry'
      throw badEntry(path, `is a hard link to ${quoteShort(existingPath)}, which is ${wrong}`)
    }
    this.#put(path, node)
  }

  /**
   * Encodes the selected directory and all below it, each distinct Directory once, children before
   * parents; the empty one is left out, as the empty blob is always there. Returns its digest.
   * @throws AssetError NOT_FOUND if there is no such directory, INVALID_ARGUMENT if a symlink leads
   * out of it.
   */
  *directories(
    selection: Pick<TreeSelection, 'directory' | 'stripPrefix'>,
  ): Generator<EncodedDirectory, Digest> {
    const root = this.#select(selection)
    return yield* this.#encode(root, [root], '', new Set())
  }

  #select(selection: Pick<TreeSelection, 'directory' | 'stripPrefix'>): DirectoryNode {
    const { prefix, directory } = selectedPath(selection)
    const stripped = descend(this.#root, prefix)
    if (!stripped) throw notThere('strip_prefix', prefix)
    const selected = descend(stripped, directory)
    if (!selected) throw notThere('directory', directory)
    return selected
  }

  #put(path: string, node: FileNode | Exclude<TreeNode, DirectoryNode>): void {
    const { parent, name } = this.#parentOf(path)
    const before = parent.children.get(name)
    if (before === undefined) this.#count(path)
    else if (before.type === 'directory') throw badEntry(path, 'is a directory as well')
    parent.children.set(name, node)
  }

  #parentOf(path: string): { parent: DirectoryNode; name: string } {
    const segments = splitTreePath(path, this.#limits)
    const name = segments.pop()
    if (name === undefined) throw badEntry(path, 'has no name')
    const parentPath = path.slice(0, Math.max(0, path.lastIndexOf(name) - 1))
    if (parentPath !== this.#lastParentPath) {
      this.#lastParent = this.#directoryAt(segments, path)
      this.#lastParentPath = parentPath
    }
    return { parent: this.#lastParent, name }
  }

  #directoryAt(segments: readonly string[], path: string): DirectoryNode {
    let directory = this.#root
    for (const segment of segments) {
      let next = directory.children.get(segment)
      if (next === undefined) {
        this.#count(path)
        next = emptyDirectory()
        directory.children.set(segment, next)
      }
      if (next.type !== 'directory') {
        throw badEntry(path, `needs ${quoteShort(segment)} as a directory, which is a ${next.type}`)
      }
      directory = next
    }
    return directory
  }

  #count(path: string): void {
    if (++this.#entries > this.#limits.entriesMax) {
      throw beyondLimit('entriesMax', this.#limits.entriesMax, path)
    }
  }

  *#encode(
    directory: DirectoryNode,
    way: DirectoryNode[],
    path: string,
    seen: Set<string>,
  ): Generator<EncodedDirectory, Digest> {
    const files = []
    const directories = []
    const symlinks = []
    for (const name of sortedNames(directory.children)) {
      const node = directory.children.get(name) as TreeNode
      if (node.type === 'file') {
        files.push({ name, ...node })
      } else if (node.type === 'symlink') {
        if (escapesTree(node.target, way)) {
          throw badEntry(`${path}${name}`, `links to ${quoteShort(node.target)}, out of the tree`)
        }
        symlinks.push({ name, target: node.target })
      } else {
        way.push(node)
        const { hash, sizeBytes } = yield* this.#encode(node, way, `${path}${name}/`, seen)
        way.pop()
        directories.push({ name, hash, sizeBytes })
      }
    }
    if (directory.children.size === 0) return emptyDigest(this.#digestFunction)
    const bytes = this.#encoder.encode({ files, directories, symlinks })
    const digests = this.#name(bytes)
    const digest = digests.at(-1) as Digest
    if (!seen.has(digest.hash)) {
      seen.add(digest.hash)
      yield { bytes, digests }
    }
    return digest
  }

  #name(bytes: Uint8Array): Digest[] {
    const functions = new Set<DigestFunction>(['SHA256', this.#digestFunction])
    return [...functions].map((digestFunction) => ({
      function: digestFunction,
      hash: hashBytes(digestFunction, bytes),
      sizeBytes: bytes.byteLength,
    }))
  }
}

function descend(root: DirectoryNode, segments: readonly string[]): DirectoryNode | undefined {
  let directory: DirectoryNode = root
  for (const segment of segments) {
    const next = directory.children.get(segment)
    if (next?.type !== 'directory') return undefined
    directory = next
  }
  return directory
}

function notThere(qualifier: string, segments: readonly string[]): AssetError {
  const path = quoteShort(segments.join('/'))
  return new AssetError('NOT_FOUND', `${qualifier} ${path} is not a directory of the tree`)
}

/** By UTF-8 bytes, which is the order of UTF-16 units unless there are surrogates. */
function sortedNames(children: ReadonlyMap<string, TreeNode>): string[] {
  const names = [...children.keys()]
  if (!names.some((name) => /[\ud800-\udfff]/.test(name))) return names.sort()
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}
