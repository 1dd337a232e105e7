import type { Digest } from '../../src/asset/digest.ts'
import { build } from '../../src/gen/reapi.js'
import { hashBytes } from '../../src/util/hasher.ts'
import { byteStreamService, contentAddressableStorageService } from '../../src/wire/methods.ts'
import type { RpcClient } from '../fixtures/rpc-client.ts'

export const functions = build.bazel.remote.execution.v2.DigestFunction.Value

const cas = contentAddressableStorageService.methods
const { Read } = byteStreamService.methods

type ProtoDigest = Pick<Digest, 'hash' | 'sizeBytes'>

/** A digest as clients write it: size 0 is absent on the wire. */
export function sha256Digest(content: Uint8Array): ProtoDigest {
  return { hash: hashBytes('SHA256', content), sizeBytes: content.byteLength }
}

/** `checksum.sri` of one hash, as Bazel writes it. */
export function sri(content: Uint8Array, name: 'SHA1' | 'SHA256' | 'SHA384' | 'SHA512' = 'SHA256') {
  const hash = Buffer.from(hashBytes(name, content), 'hex')
  return `${name.toLowerCase()}-${hash.toString('base64')}`
}

export function qualifiers(values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([name, value]) => ({ name, value }))
}

/** RequestMetadata as Bazel sends it: base64 without padding of the message. */
export const bazelMetadata = {
  'build.bazel.remote.execution.v2.requestmetadata-bin': Buffer.from(
    'CgcKBWJhemVsEhFyZW1vdGVfZG93bmxvYWRlchokMmM4NjZiZGEtZDU5My00YjM2LTkzZDgtMDY4NDg1ZDY1MWFi' +
      'IiQ2NTE0MTgzMy1kY2FkLTRkYjUtYmM1MC05YTlkNTQyNTVjNDU',
    'base64',
  ),
}

/** Uploads small blobs in one BatchUpdateBlobs call. */
export async function upload(
  client: RpcClient,
  contents: readonly Uint8Array[],
  instanceName = '',
): Promise<ProtoDigest[]> {
  const digests = contents.map(sha256Digest)
  const requests = contents.map((data, index) => ({ digest: digests[index] ?? null, data }))
  const { responses } = await client.unary(cas.BatchUpdateBlobs, { instanceName, requests })
  for (const { status } of responses) {
    if (status?.code) throw new Error(`upload failed: ${status.code} ${status.message}`)
  }
  return digests
}

export async function read(client: RpcClient, resourceName: string): Promise<Buffer> {
  const messages = await client.stream(Read, { resourceName })
  return Buffer.concat(messages.map(({ data }) => data))
}
