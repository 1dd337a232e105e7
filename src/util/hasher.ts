import { createHash, hash as hashOnce } from 'node:crypto'
import { Blake3Hasher } from '@napi-rs/blake-hash'
import type { DigestFunction } from '../asset/digest.ts'

/** Hashes bytes as they pass. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** Lower-case hex. May be called once. */
  hex(): string
}

const cryptoNames = {
  SHA256: 'sha256',
  SHA1: 'sha1',
  MD5: 'md5',
  SHA384: 'sha384',
  SHA512: 'sha512',
} as const

/** A hasher for content of unknown size; GITSHA1 needs its size first, so it is not among them. */
export function createHasher(digestFunction: Exclude<DigestFunction, 'GITSHA1'>): Hasher {
  if (digestFunction === 'BLAKE3') {
    const hasher = new Blake3Hasher()
    return {
      update: (bytes) => void hasher.update(asBuffer(bytes)),
      hex: () => hasher.digest('hex'),
    }
  }
  const hasher = createHash(cryptoNames[digestFunction])
  return { update: (bytes) => void hasher.update(bytes), hex: () => hasher.digest('hex') }
}

/** Hash of bytes in memory, as lower-case hex. */
export function hashBytes(digestFunction: DigestFunction, bytes: Uint8Array): string {
  if (digestFunction === 'GITSHA1') {
    return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex')
  }
  if (digestFunction === 'BLAKE3') {
    const hasher = createHasher('BLAKE3')
    hasher.update(bytes)
    return hasher.hex()
  }
  return hashOnce(cryptoNames[digestFunction], bytes, 'hex')
}

/** The same memory as a Buffer, which is all that the BLAKE3 addon takes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
