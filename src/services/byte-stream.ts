import type { BlobStore } from '../cas/blob-store.ts'
import type { byteStreamService, HandlersOf } from '../wire/methods.ts'
import { readBlob } from './byte-stream-read.ts'
import { writeBlob } from './byte-stream-write.ts'
import type { Instances } from './instances.ts'
import { parseWriteName } from './resource-name.ts'

export interface ByteStreamDeps {
  readonly store: BlobStore
  readonly instances: Instances
}

/**
 * google.bytestream.ByteStream over the CAS: blobs as they are and as zstd frames. Uploads are not
 * resumed in their middle: what did not arrive whole is dropped, so several writers of one blob,
 * with the same name or not, never meet.
 */
export function createByteStreamService({
  store,
  instances,
}: ByteStreamDeps): HandlersOf<typeof byteStreamService> {
  return {
    Read: (request) => readBlob({ store, instances }, request),
    Write: (requests) => writeBlob({ store, instances }, requests),
    // Absent is 0 and not NOT_FOUND, which makes new versions of Bazel give up the whole upload.
    QueryWriteStatus: async (request) => {
      const { instance, digest } = parseWriteName(request.resourceName)
      instances.accept(instance)
      const [missing] = await store.findMissing([digest])
      return missing
        ? { committedSize: 0, complete: false }
        : { committedSize: digest.sizeBytes, complete: true }
    },
  }
}
