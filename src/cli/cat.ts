import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  clientDigestFunctions,
  type Digest,
  inferDigestFunction,
  parseDigest,
} from '../asset/digest.ts'
import { CliError } from './cli-error.ts'
import { openRemote, readBlob } from './remote-blobs.ts'

interface CatFlags {
  readonly server: string
  readonly instance: string
}

/** `larder cat DIGEST`: the blob on standard output, verified as it passes. */
export async function catBlob(text: string, flags: CatFlags): Promise<void> {
  const digest = parseDigestText(text)
  using remote = openRemote(flags.server, flags.instance)
  try {
    await pipeline(Readable.from(readBlob(remote, digest)), process.stdout, { end: false })
  } catch (error) {
    // Whoever reads, e.g. `head`, may have seen enough.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  }
}

/** `hash/size` or `function/hash/size`. @throws CliError, AssetError INVALID_ARGUMENT */
function parseDigestText(text: string): Digest {
  const segments = text.split('/')
  const size = segments.length > 1 ? segments.pop() : undefined
  const hash = segments.pop() ?? ''
  if (size === undefined || !/^\d+$/.test(size)) {
    throw new CliError(`${text} needs its size, since a digest is a hash and a size: HASH/SIZE.`)
  }
  const [name] = segments
  const named = clientDigestFunctions.find((known) => known === name?.toUpperCase())
  if (name !== undefined && named === undefined) {
    throw new CliError(`${name} is none of ${clientDigestFunctions.join(', ')}.`)
  }
  return parseDigest(named ?? inferDigestFunction(hash), hash, Number(size))
}
