import type { Digest, DigestFunction } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { type Integrity, integrityEntryText, satisfies } from '../asset/integrity.ts'
import type { BlobStore } from '../cas/blob-store.ts'

export interface BlobImport {
  readonly body: AsyncIterable<Uint8Array>
  /** What the digest is answered in. */
  readonly digestFunction: DigestFunction
  /** Checked over the whole body before anything is visible. */
  readonly integrity: Integrity | undefined
  /** Larger bodies are refused with RESOURCE_EXHAUSTED. */
  readonly sizeBytesMax: number
  /** For messages. */
  readonly displayUri: string
  /** Told the size of each chunk as it passes. */
  readonly onBytes: (sizeBytes: number) => void
}

/**
 * Streams a body into the CAS: all hashes that anyone asked for are computed in the one pass, and
 * the content becomes visible only if it satisfies the checksum.
 * @throws AssetError CHECKSUM_MISMATCH with the expected and the found hash; what the body throws.
 */
export async function importBlob(store: BlobStore, options: BlobImport): Promise<Digest> {
  const { digestFunction, integrity, sizeBytesMax } = options
  const functions = new Set([digestFunction, ...(integrity?.functions ?? [])])
  functions.delete('GITSHA1')
  await using upload = store.upload({
    functions: [...functions] as Exclude<DigestFunction, 'GITSHA1'>[],
    sizeBytesMax,
  })
  for await (const chunk of options.body) {
    options.onBytes(chunk.byteLength)
    await upload.write(chunk)
  }
  const hashes = await upload.finish()
  if (integrity && !satisfies(integrity, hashes)) {
    throw checksumMismatch(integrity, hashes, options.displayUri, upload.sizeBytes)
  }
  const hash = hashes.get(digestFunction)
  if (hash === undefined) throw new Error(`the store did not compute ${digestFunction}`)
  await upload.commit()
  return { function: digestFunction, hash, sizeBytes: upload.sizeBytes }
}

function checksumMismatch(
  integrity: Integrity,
  hashes: ReadonlyMap<DigestFunction, string>,
  uri: string,
  sizeBytes: number,
): AssetError {
  const expected = integrity.entries.map(
    (entry) => `${entry.function} ${entry.hash} (${integrityEntryText(entry)})`,
  )
  const found = integrity.functions.map(
    (digestFunction) => `${digestFunction} ${hashes.get(digestFunction)}`,
  )
  return new AssetError(
    'CHECKSUM_MISMATCH',
    `${uri}: checksum mismatch: expected ${expected.join(' or ')}, ` +
      `found ${found.join(', ')} in ${sizeBytes} bytes`,
    { uri },
  )
}
