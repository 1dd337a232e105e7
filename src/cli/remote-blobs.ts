import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import { formatReadName } from '../services/resource-name.ts'
import { createHasher, hashBytes } from '../util/hasher.ts'
import { digestFunctionToProto, digestToProto } from '../wire/digests.ts'
import { connect, type GrpcClient } from '../wire/grpc-client.ts'
import { byteStreamService, contentAddressableStorageService } from '../wire/methods.ts'
import { CliError } from './cli-error.ts'

// Half of gRPC's default message limit, which leaves room for the envelopes of many small blobs.
export const batchBytesMax = 2 * 1024 * 1024

/** The server and the part of it that is asked. */
export interface Remote {
  readonly client: GrpcClient
  readonly address: string
  readonly instance: string
}

export function openRemote(address: string, instance: string): Remote & Disposable {
  if (address === '') throw new CliError('--server needs an address.')
  const client = connect(address)
  return { client, address, instance, [Symbol.dispose]: () => client.close() }
}

/** A failure of a call; if nobody answers at the address, how to change that. */
export function callFailure(error: unknown, { address }: Remote): unknown {
  const isRefused =
    error instanceof AssetError &&
    /ECONNREFUSED|ENOENT|ENOTFOUND|No connection established|name resolution/i.test(error.message)
  if (!isRefused) return error
  return new CliError(
    `No server answers at ${address}: start one with "larder serve", or name another with --server.`,
  )
}

/**
 * The blob's bytes as they come, hashed on the way.
 * @throws AssetError DATA_LOSS after the last chunk if they are not what the digest says
 */
export async function* readBlob(remote: Remote, digest: Digest): AsyncGenerator<Uint8Array> {
  const { instance, client } = remote
  const resourceName = formatReadName({ instance, compressor: 'IDENTITY', digest })
  if (digest.function === 'GITSHA1') throw new CliError('Blobs cannot be read by GITSHA1.')
  const hasher = createHasher(digest.function)
  let sizeBytes = 0
  try {
    for await (const { data } of client.serverStream(byteStreamService.methods.Read, {
      resourceName,
    })) {
      if (!data || data.byteLength === 0) continue
      hasher.update(data)
      sizeBytes += data.byteLength
      yield data
    }
  } catch (error) {
    throw callFailure(error, remote)
  }
  if (sizeBytes !== digest.sizeBytes || hasher.hex() !== digest.hash) throw damaged(digest)
}

/**
 * Small blobs, in the order asked; together at most `batchBytesMax`.
 * @throws AssetError for the first one that is missing or damaged
 */
export async function readBatch(remote: Remote, digests: readonly Digest[]): Promise<Uint8Array[]> {
  const [first] = digests
  if (first === undefined) return []
  const { responses } = await remote.client.unary(
    contentAddressableStorageService.methods.BatchReadBlobs,
    {
      instanceName: remote.instance,
      digests: digests.map(digestToProto),
      digestFunction: digestFunctionToProto(first.function),
    },
  )
  const found = new Map<string, Uint8Array>()
  for (const { digest, data, status } of responses ?? []) {
    if (!status?.code) found.set(digest?.hash ?? '', data ?? new Uint8Array(0))
  }
  return digests.map((digest) => {
    const data = found.get(digest.hash)
    if (data === undefined) {
      throw new AssetError('NOT_FOUND', `the server does not hold ${digestText(digest)}`)
    }
    const isWhole = data.byteLength === digest.sizeBytes
    if (!isWhole || hashBytes(digest.function, data) !== digest.hash) throw damaged(digest)
    return data
  })
}

function damaged(digest: Digest): AssetError {
  return new AssetError('DATA_LOSS', `the bytes received are not ${digestText(digest)}`)
}
