import type { Digest } from '../asset/digest.ts'
import { invalidField } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'

/**
 * Refuses what the store would not take, before any of it is read.
 * @throws AssetError INVALID_ARGUMENT, as REAPI wants for `max_cas_blob_size_bytes`
 */
export function assertBlobSize(store: BlobStore, digest: Digest, field: string): void {
  if (digest.sizeBytes <= store.blobSizeBytesMax) return
  throw invalidField(
    field,
    `a blob of ${digest.sizeBytes} bytes is larger than max_cas_blob_size_bytes = ${store.blobSizeBytesMax}`,
  )
}
