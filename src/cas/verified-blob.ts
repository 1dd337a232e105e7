import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { hashBytes } from '../util/hasher.ts'

declare const verified: unique symbol

/** Bytes in memory together with names that were computed from them. Made only by this file. */
export interface VerifiedBlob {
  readonly [verified]: true
  readonly data: Uint8Array
  /** At least the SHA256 one. */
  readonly digests: readonly Digest[]
}

/**
 * Proves that the bytes are what the digest says.
 * @throws AssetError INVALID_ARGUMENT, with the hash or size that was found.
 */
export function verifyBlob(digest: Digest, data: Uint8Array): VerifiedBlob {
  if (data.byteLength !== digest.sizeBytes) {
    throw new AssetError(
      'INVALID_ARGUMENT',
      `blob ${digestText(digest)} has ${data.byteLength} bytes, expected ${digest.sizeBytes}`,
    )
  }
  const found = hashBytes(digest.function, data)
  if (found !== digest.hash) {
    throw new AssetError(
      'INVALID_ARGUMENT',
      `blob ${digestText(digest)} has the ${digest.function} hash ${found}`,
    )
  }
  if (digest.function === 'SHA256') return trustedBlob(data, [digest])
  return trustedBlob(data, [sha256Digest(data), digest])
}

/** Names bytes by SHA256, and by other functions if asked. */
export function nameBlob(data: Uint8Array, ...functions: Digest['function'][]): VerifiedBlob {
  const digests = [sha256Digest(data)]
  for (const digestFunction of functions) {
    if (digestFunction === 'SHA256') continue
    const hash = hashBytes(digestFunction, data)
    digests.push({ function: digestFunction, hash, sizeBytes: data.byteLength })
  }
  return trustedBlob(data, digests)
}

/**
 * Takes names that our own code has just computed from these bytes, in another thread for example.
 * Never for names that came over the wire.
 */
export function trustedBlob(data: Uint8Array, digests: readonly Digest[]): VerifiedBlob {
  return { data, digests } as unknown as VerifiedBlob
}

/** The name of a verified blob under a function that it was named by. */
export function digestOf(blob: VerifiedBlob, digestFunction: Digest['function']): Digest {
  const digest = blob.digests.find((candidate) => candidate.function === digestFunction)
  if (!digest) throw new Error(`the blob was not named by ${digestFunction}`)
  return digest
}

function sha256Digest(data: Uint8Array): Digest {
  return { function: 'SHA256', hash: hashBytes('SHA256', data), sizeBytes: data.byteLength }
}
