import type { DirectoryBuilder } from './directory-builder.ts'
import type { TreeSelection } from './importers.ts'
import type { FoundBlob } from './job-messages.ts'
import type { OutgoingBlobs } from './outgoing-blobs.ts'

/**
 * Sends the Directories when all files are in the store: a Directory that is there stands for
 * content that is there. Returns the root's digest.
 */
export async function sendTree(
  builder: DirectoryBuilder,
  selection: TreeSelection,
  blobs: OutgoingBlobs,
): Promise<FoundBlob> {
  await blobs.settle()
  const directories = builder.directories(selection)
  for (;;) {
    const next = directories.next()
    if (next.done) {
      await blobs.settle()
      return { hash: next.value.hash, sizeBytes: next.value.sizeBytes }
    }
    const { bytes } = next.value
    await blobs.begin(bytes.byteLength)
    await blobs.append(bytes)
    await blobs.end()
  }
}
