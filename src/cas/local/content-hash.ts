import { createHash } from 'node:crypto'
import type { DigestFunction } from '../../asset/digest.ts'
import { createHasher, type Hasher } from '../../util/hasher.ts'

/** Hash of content whose size is known, as lower-case hex. */
export async function hashContent(
  digestFunction: DigestFunction,
  sizeBytes: number,
  content: AsyncIterable<Uint8Array>,
): Promise<string> {
  const hasher = digestFunction === 'GITSHA1' ? gitHasher(sizeBytes) : createHasher(digestFunction)
  for await (const chunk of content) hasher.update(chunk)
  return hasher.hex()
}

function gitHasher(sizeBytes: number): Hasher {
  const hash = createHash('sha1').update(`blob ${sizeBytes}\0`)
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
}
