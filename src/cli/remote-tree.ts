import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { decodeDirectory } from '../cas/directory-codec.ts'
import { defaultTreeLimits } from '../importers/tree-limits.ts'
import { digestFromProto } from '../wire/digests.ts'
import { batchBytesMax, type Remote, readBatch, readBlob } from './remote-blobs.ts'

/** A Directory of this size names some 100,000 entries. */
const directoryBytesMax = 16 * 1024 * 1024

export interface RemoteFile {
  readonly path: string
  readonly digest: Digest
  readonly isExecutable: boolean
}

/** All that is below a Directory, with paths relative to it; parents come before children. */
export interface RemoteTree {
  readonly directories: string[]
  readonly files: RemoteFile[]
  readonly symlinks: { readonly path: string; readonly target: string }[]
}

/**
 * Reads a tree by its Directory blobs, each verified against its digest: what a server says about a
 * tree is not trusted further than its hashes.
 * @throws AssetError INVALID_ARGUMENT for unsafe or doubled names, RESOURCE_EXHAUSTED beyond limits
 */
export async function readTree(remote: Remote, root: Digest): Promise<RemoteTree> {
  const tree: RemoteTree = { directories: [], files: [], symlinks: [] }
  const decoded = new Map<string, ReturnType<typeof decodeDirectory>>()
  const queue = [{ path: '', digest: root, depth: 0 }]
  let entries = 0
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { path, digest, depth } = next
    if (depth > defaultTreeLimits.depthMax) throw tooLarge('depthMax', defaultTreeLimits.depthMax)
    const key = digestText(digest)
    const directory = decoded.get(key) ?? decodeDirectory(digest, await readWhole(remote, digest))
    decoded.set(key, directory)
    const names = new Set<string>()
    const place = (name: string | null | undefined): string => {
      entries += 1
      if (entries > defaultTreeLimits.entriesMax) {
        throw tooLarge('entriesMax', defaultTreeLimits.entriesMax)
      }
      return safePath(path, name ?? '', names)
    }
    const digestFunction = digest.function
    for (const node of directory.directories ?? []) {
      const below = place(node.name)
      tree.directories.push(below)
      const child = digestFromProto(node.digest, digestFunction, below)
      queue.push({ path: below, digest: child, depth: depth + 1 })
    }
    for (const node of directory.files ?? []) {
      const below = place(node.name)
      const file = digestFromProto(node.digest, digestFunction, below)
      tree.files.push({ path: below, digest: file, isExecutable: node.isExecutable === true })
    }
    for (const node of directory.symlinks ?? []) {
      tree.symlinks.push({ path: place(node.name), target: node.target ?? '' })
    }
  }
  return tree
}

async function readWhole(remote: Remote, digest: Digest): Promise<Uint8Array> {
  if (digest.sizeBytes > directoryBytesMax) throw tooLarge('Directory bytes', directoryBytesMax)
  if (digest.sizeBytes <= batchBytesMax) {
    const [data] = await readBatch(remote, [digest])
    return data ?? new Uint8Array(0)
  }
  return Buffer.concat(await Array.fromAsync(readBlob(remote, digest)))
}

function safePath(directory: string, name: string, names: Set<string>): string {
  if (name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name)) {
    throw new AssetError('INVALID_ARGUMENT', `${JSON.stringify(name)} is no safe name of a file`)
  }
  if (names.has(name)) {
    throw new AssetError('INVALID_ARGUMENT', `${JSON.stringify(name)} is there twice`)
  }
  names.add(name)
  return directory === '' ? name : `${directory}/${name}`
}

function tooLarge(limit: string, value: number): AssetError {
  return new AssetError('RESOURCE_EXHAUSTED', `the tree is beyond the limit ${limit} of ${value}`)
}
