import { invalidField } from './errors.ts'

/**
 * The hash functions that name content. All but GITSHA1 may be used by clients as REAPI digest
 * functions and in `checksum.sri`; GITSHA1 (the id of a git blob object) is a name that the git
 * importer gives to content, so that an object seen once is never read again.
 */
export type DigestFunction = 'SHA256' | 'SHA1' | 'MD5' | 'SHA384' | 'SHA512' | 'BLAKE3' | 'GITSHA1'

/** What a client may ask for, the preferred one first. Advertised in CacheCapabilities. */
export const clientDigestFunctions = [
  'SHA256',
  'BLAKE3',
  'SHA1',
  'SHA384',
  'SHA512',
  'MD5',
] as const satisfies readonly DigestFunction[]

const hashLengths: Readonly<Record<DigestFunction, number>> = {
  SHA256: 64,
  SHA1: 40,
  MD5: 32,
  SHA384: 96,
  SHA512: 128,
  BLAKE3: 64,
  GITSHA1: 40,
}

/** A name of content: the pair of hash and size is the identity, under one hash function. */
export interface Digest {
  readonly function: DigestFunction
  /** Lower-case hex. */
  readonly hash: string
  readonly sizeBytes: number
}

const lowerHex = /^[0-9a-f]+$/

/** Hex characters in a hash of this function. */
export function hashLength(digestFunction: DigestFunction): number {
  return hashLengths[digestFunction]
}

/**
 * Proves that hash and size can be a digest. `field` names the request's field in the error.
 * @throws AssetError INVALID_ARGUMENT
 */
export function parseDigest(
  digestFunction: DigestFunction,
  hash: string,
  sizeBytes: number,
  field = 'digest',
): Digest {
  const length = hashLengths[digestFunction]
  if (hash.length !== length || !lowerHex.test(hash)) {
    throw invalidField(
      `${field}.hash`,
      `expected ${length} lower-case hex digits of ${digestFunction}, got ${quoteShort(hash)}`,
    )
  }
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw invalidField(`${field}.size_bytes`, `must be between 0 and 2^53 - 1, got ${sizeBytes}`)
  }
  return { function: digestFunction, hash, sizeBytes }
}

/**
 * The function that a hash of this length stands for where the request names none (REAPI: the
 * function may be left out for the old functions, whose lengths differ). 64 digits are SHA256,
 * never BLAKE3.
 */
export function inferDigestFunction(hash: string): DigestFunction {
  switch (hash.length) {
    case 32:
      return 'MD5'
    case 40:
      return 'SHA1'
    case 96:
      return 'SHA384'
    case 128:
      return 'SHA512'
    default:
      return 'SHA256'
  }
}

/** `hash/size`, prefixed by the function if it is not SHA256: for messages and as a map key. */
export function digestText(digest: Digest): string {
  const prefix = digest.function === 'SHA256' ? '' : `${digest.function.toLowerCase()}/`
  return `${prefix}${digest.hash}/${digest.sizeBytes}`
}

export function sameDigest(a: Digest, b: Digest): boolean {
  return a.hash === b.hash && a.sizeBytes === b.sizeBytes && a.function === b.function
}

const emptyHashes: Readonly<Record<DigestFunction, string>> = {
  SHA256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  SHA1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709',
  MD5: 'd41d8cd98f00b204e9800998ecf8427e',
  SHA384:
    '38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b',
  SHA512:
    'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e',
  BLAKE3: 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
  GITSHA1: 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391',
}

/** The digest of no bytes, which every CAS holds without an upload. */
export function emptyDigest(digestFunction: DigestFunction): Digest {
  return { function: digestFunction, hash: emptyHashes[digestFunction], sizeBytes: 0 }
}

/** True for the right hash of no bytes; a wrong hash with size 0 is not the empty blob. */
export function isEmptyDigest(digest: Digest): boolean {
  return digest.sizeBytes === 0 && digest.hash === emptyHashes[digest.function]
}

/** Client text in an error message: quoted, and cut so that trailers stay below 8 KiB. */
export function quoteShort(text: string): string {
  return JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}…` : text)
}
