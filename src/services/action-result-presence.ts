import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError, isNotFound } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { decodeTreeDirectories, directoryLinks } from '../cas/directory-codec.ts'
import { findFirstMissing, findMissingInTree } from '../cas/directory-walk.ts'
import type { ActionResultContent } from './action-result-content.ts'

/** A Tree message is held in memory while its files are looked up: about 600,000 at the limit. */
const treeBytesMax = 64 * 1024 ** 2

// Then the event loop gets its turn; decoding as many nodes takes half a millisecond.
const filesPerLookUp = 1024

/**
 * The first content of a result that is not held; undefined if all of it is there, and then its
 * life is extended. What an output directory claims but is no Tree or Directory counts as missing.
 * @throws AssetError RESOURCE_EXHAUSTED beyond a limit
 */
export async function findMissingContent(
  store: BlobStore,
  content: ActionResultContent,
): Promise<Digest | undefined> {
  const missing = await findFirstMissing(store, [...content.blobs, ...content.trees])
  if (missing) return missing
  for (const tree of content.trees) {
    const absent = await missingIfMalformed(tree, () => findMissingInTreeMessage(store, tree))
    if (absent) return absent
  }
  for (const root of content.rootDirectories) {
    const absent = await missingIfMalformed(root, () => findMissingInTree(store, root))
    if (absent) return absent
  }
  return undefined
}

async function findMissingInTreeMessage(
  store: BlobStore,
  digest: Digest,
): Promise<Digest | undefined> {
  if (digest.sizeBytes > treeBytesMax) {
    throw new AssetError(
      'RESOURCE_EXHAUSTED',
      `Tree ${digestText(digest)} is larger than treeBytesMax = ${treeBytesMax}`,
    )
  }
  const bytes = await readWhole(store, digest)
  if (bytes === undefined) return digest
  // The Directories are in the Tree itself: only their files must be in the CAS.
  let files: Digest[] = []
  for (const directory of decodeTreeDirectories(digest, bytes)) {
    files = files.concat(directoryLinks(digest, directory).files)
    if (files.length < filesPerLookUp) continue
    const missing = await findFirstMissing(store, files)
    if (missing) return missing
    files = []
    await nextTurn()
  }
  return findFirstMissing(store, files)
}

async function readWhole(store: BlobStore, digest: Digest): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of store.read(digest, { chunkBytes: 1024 * 1024 })) chunks.push(chunk)
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
}

async function missingIfMalformed(
  digest: Digest,
  find: () => Promise<Digest | undefined>,
): Promise<Digest | undefined> {
  try {
    return await find()
  } catch (error) {
    if (error instanceof AssetError && error.code === 'INVALID_ARGUMENT') return digest
    throw error
  }
}
