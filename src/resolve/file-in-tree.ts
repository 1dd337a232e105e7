import { type Digest, parseDigest } from '../asset/digest.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { decodeDirectory } from '../cas/directory-codec.ts'

/** The digest of a file of this name in a Directory; undefined if it names no such file. */
export async function fileInDirectory(
  store: BlobStore,
  root: Digest,
  name: string,
): Promise<Digest | undefined> {
  const [bytes] = await store.readBatch([root])
  if (!bytes) return undefined
  const file = decodeDirectory(root, bytes).files?.find((candidate) => candidate.name === name)
  if (!file) return undefined
  return parseDigest(root.function, file.digest?.hash ?? '', file.digest?.sizeBytes ?? 0)
}
