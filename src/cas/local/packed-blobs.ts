import type { Digest } from '../../asset/digest.ts'
import type { ExtraName, NewBlob } from './cas-writes.ts'

export interface PackedBlobs {
  readonly blobs: readonly NewBlob[]
  readonly transfer: readonly ArrayBuffer[]
}

/**
 * Makes blobs ready to move to the writer thread. Bytes that fill their memory alone move without a
 * copy; the others, views of some larger buffer, are copied together into one: to send a view
 * would send all of its buffer.
 */
export function packBlobs(blobs: readonly NewBlob[]): PackedBlobs {
  const transfer: ArrayBuffer[] = []
  let sharedBytes = 0
  for (const { data } of blobs) if (!ownsMemory(data)) sharedBytes += data.byteLength
  const shared = new Uint8Array(sharedBytes)
  if (sharedBytes > 0) transfer.push(shared.buffer)
  let at = 0
  const packed = blobs.map((blob) => {
    if (ownsMemory(blob.data)) {
      transfer.push(blob.data.buffer)
      return blob
    }
    const data = shared.subarray(at, at + blob.data.byteLength)
    data.set(blob.data)
    at += data.byteLength
    return { sha256: blob.sha256, data, names: blob.names }
  })
  return { blobs: packed, transfer }
}

/** The names beside SHA256. */
export function extraNames(digests: readonly Digest[]): ExtraName[] {
  const names: ExtraName[] = []
  for (const digest of digests) {
    if (digest.function !== 'SHA256') names.push({ function: digest.function, hash: digest.hash })
  }
  return names
}

function ownsMemory(data: Uint8Array): data is Uint8Array<ArrayBuffer> {
  return data.buffer instanceof ArrayBuffer && data.buffer.byteLength === data.byteLength
}
