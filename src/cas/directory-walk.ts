import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { BlobStore } from './blob-store.ts'
import { type DirectoryMessage, decodeDirectory, directoryLinks } from './directory-codec.ts'

/** What a tree may be at most; beyond it, a walk fails with RESOURCE_EXHAUSTED and names the limit. */
export interface DirectoryWalkLimits {
  /** Distinct Directories. Each is remembered by about 250 bytes: 250 MB at the default. */
  readonly directoriesMax: number
  /** Nodes in all distinct Directories together. As many as an importer makes of an archive. */
  readonly nodesMax: number
  readonly depthMax: number
  /** One Directory message: about 300,000 files at the default. */
  readonly directoryBytesMax: number
}

export const defaultDirectoryWalkLimits: DirectoryWalkLimits = Object.freeze({
  directoriesMax: 1_000_000,
  nodesMax: 4_000_000,
  depthMax: 256,
  directoryBytesMax: 32 * 1024 ** 2,
})

/** One Directory on the way, or the digest of one that is not held. */
export interface WalkedDirectory {
  readonly digest: Digest
  readonly directory: DirectoryMessage | undefined
  /** The content that its FileNodes name. */
  readonly files: readonly Digest[]
}

// Directories are read in batches: one look-up each would make a deep tree slow on a remote store,
// and the whole of a level could be gigabytes.
const batchDirectoriesMax = 256
const batchBytesMax = 4 * 1024 ** 2

// Between two such groups the event loop gets its turn: a look-up takes up to 6 µs.
const presenceBatchMax = 1024

interface Visit {
  readonly digest: Digest
  readonly depth: number
}

/**
 * Walks a tree breadth first, each distinct Directory once, always in the same order for the same
 * content. Yields what one batched read gave. Extends the life of all Directories it reads.
 * @throws AssetError INVALID_ARGUMENT if a blob is not a Directory, RESOURCE_EXHAUSTED beyond a limit
 */
export async function* walkDirectories(
  store: BlobStore,
  root: Digest,
  limits: DirectoryWalkLimits = defaultDirectoryWalkLimits,
): AsyncGenerator<WalkedDirectory[]> {
  const seen = new Set([digestText(root)])
  let queue: Visit[] = [{ digest: root, depth: 1 }]
  let start = 0
  let nodes = 0
  while (start < queue.length) {
    const batch = nextBatch(queue, start, limits)
    start += batch.length
    if (start > batchDirectoriesMax && start * 2 > queue.length) {
      queue = queue.slice(start)
      start = 0
    }
    const contents = await store.readBatch(batch.map((visit) => visit.digest))
    const walked: WalkedDirectory[] = []
    for (const [index, { digest, depth }] of batch.entries()) {
      const bytes = contents[index]
      if (bytes === undefined) {
        walked.push({ digest, directory: undefined, files: [] })
        continue
      }
      const directory = decodeDirectory(digest, bytes)
      const links = directoryLinks(digest, directory)
      walked.push({ digest, directory, files: links.files })
      nodes += links.files.length + links.directories.length + (directory.symlinks?.length ?? 0)
      if (nodes > limits.nodesMax) throw beyond(root, 'nodesMax', limits.nodesMax)
      for (const child of links.directories) {
        const key = digestText(child)
        if (seen.has(key)) continue
        seen.add(key)
        queue.push({ digest: child, depth: depth + 1 })
      }
      if (seen.size > limits.directoriesMax) {
        throw beyond(root, 'directoriesMax', limits.directoriesMax)
      }
    }
    yield walked
    await nextTurn()
  }
}

/**
 * Whether a directory asset is whole: its root, all Directories below it and all their files.
 * Returns a digest that is not held, or undefined if nothing is missing, and then the life of all
 * of it is extended.
 * @throws AssetError as `walkDirectories` does
 */
export async function findMissingInTree(
  store: BlobStore,
  root: Digest,
  limits: DirectoryWalkLimits = defaultDirectoryWalkLimits,
): Promise<Digest | undefined> {
  for await (const batch of walkDirectories(store, root, limits)) {
    const absent = batch.find((walked) => walked.directory === undefined)
    if (absent) return absent.digest
    const missing = await findFirstMissing(
      store,
      batch.flatMap((walked) => walked.files),
    )
    if (missing) return missing
  }
  return undefined
}

/** The first of the digests that is not held. Takes any number of them, and looks in groups. */
export async function findFirstMissing(
  store: BlobStore,
  digests: readonly Digest[],
): Promise<Digest | undefined> {
  for (let start = 0; start < digests.length; start += presenceBatchMax) {
    if (start > 0) await nextTurn()
    const [missing] = await store.findMissing(digests.slice(start, start + presenceBatchMax))
    if (missing) return missing
  }
  return undefined
}

function nextBatch(queue: readonly Visit[], start: number, limits: DirectoryWalkLimits): Visit[] {
  const batch: Visit[] = []
  let sizeBytes = 0
  for (let at = start; at < queue.length && batch.length < batchDirectoriesMax; at += 1) {
    const visit = queue[at]
    if (!visit) break
    const { digest, depth } = visit
    if (depth > limits.depthMax) throw beyond(digest, 'depthMax', limits.depthMax)
    if (digest.sizeBytes > limits.directoryBytesMax) {
      throw beyond(digest, 'directoryBytesMax', limits.directoryBytesMax)
    }
    sizeBytes += digest.sizeBytes
    if (batch.length > 0 && sizeBytes > batchBytesMax) break
    batch.push(visit)
  }
  return batch
}

function beyond(digest: Digest, limit: keyof DirectoryWalkLimits, value: number): AssetError {
  return new AssetError(
    'RESOURCE_EXHAUSTED',
    `the tree of ${digestText(digest)} is larger than ${limit} = ${value}`,
  )
}
