import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { build } from '../../src/gen/reapi.js'
import type { GrpcClient } from '../../src/wire/grpc-client.ts'
import {
  actionCacheService,
  byteStreamService,
  contentAddressableStorageService,
  fetchService,
} from '../../src/wire/methods.ts'

const { Directory } = build.bazel.remote.execution.v2
const { FetchBlob, FetchDirectory } = fetchService.methods
const { FindMissingBlobs } = contentAddressableStorageService.methods

/** By SHA256. */
export interface BlobName {
  readonly hash: string
  readonly sizeBytes: number
}

type DigestMessage = build.bazel.remote.execution.v2.Digest.$Properties
type Qualifiers = readonly { readonly name: string; readonly value: string }[]

/** What the server has said to hold. */
export type Acknowledged =
  | { readonly what: 'blob'; readonly blob: BlobName }
  | { readonly what: 'blob asset'; readonly uri: string; readonly blob: BlobName }
  | {
      readonly what: 'directory asset'
      readonly uri: string
      readonly qualifiers: Qualifiers
      readonly root: BlobName
    }
  | { readonly what: 'action result'; readonly action: BlobName; readonly stdout: string }

export function nameOf(content: Uint8Array): BlobName {
  const hash = createHash('sha256').update(content).digest('hex')
  return { hash, sizeBytes: content.byteLength }
}

/** Asks for it again, and verifies all content below it. */
export async function assertHeld(client: GrpcClient, held: Acknowledged): Promise<void> {
  switch (held.what) {
    case 'blob':
      await assertReadsBack(client, held.blob)
      return
    case 'blob asset': {
      const { blobDigest } = await client.unary(FetchBlob, { uris: [held.uri] })
      assert.deepEqual(plainName(blobDigest), held.blob, held.uri)
      await assertReadsBack(client, held.blob)
      return
    }
    case 'directory asset': {
      const request = { uris: [held.uri], qualifiers: [...held.qualifiers] }
      const { rootDirectoryDigest } = await client.unary(FetchDirectory, request)
      assert.deepEqual(plainName(rootDirectoryDigest), held.root, held.uri)
      await assertTreeReadsBack(client, held.root)
      return
    }
    case 'action result': {
      const method = actionCacheService.methods.GetActionResult
      const result = await client.unary(method, { actionDigest: held.action })
      assert.equal(Buffer.from(result.stdoutRaw).toString(), held.stdout)
      for (const { digest } of result.outputFiles) await assertReadsBack(client, plainName(digest))
    }
  }
}

/** Each blob is found by FindMissingBlobs and has the hash that it goes by. */
export async function assertAllReadBack(
  client: GrpcClient,
  blobs: readonly BlobName[],
): Promise<void> {
  const { missingBlobDigests } = await client.unary(FindMissingBlobs, { blobDigests: [...blobs] })
  assert.deepEqual(
    missingBlobDigests.map((digest) => plainName(digest)),
    [],
  )
  await inParallel(blobs, (blob) => assertReadsBack(client, blob))
}

/** Does a work for each item, some at a time. */
export async function inParallel<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: 8 }, worker))
}

async function assertReadsBack(client: GrpcClient, blob: BlobName): Promise<void> {
  await readBack(client, blob)
}

async function assertTreeReadsBack(client: GrpcClient, root: BlobName): Promise<void> {
  const { files, directories } = Directory.decode(await readBack(client, root))
  await inParallel(files, ({ digest }) => assertReadsBack(client, plainName(digest)))
  for (const { digest } of directories) await assertTreeReadsBack(client, plainName(digest))
}

async function readBack(client: GrpcClient, blob: BlobName): Promise<Buffer> {
  const { Read } = byteStreamService.methods
  const chunks: Uint8Array[] = []
  const request = { resourceName: `blobs/${blob.hash}/${blob.sizeBytes}` }
  for await (const { data } of client.serverStream(Read, request)) chunks.push(data)
  const content = Buffer.concat(chunks)
  assert.deepEqual(nameOf(content), plainName(blob))
  return content
}

function plainName(digest: DigestMessage | null | undefined): BlobName {
  return { hash: digest?.hash ?? '', sizeBytes: digest?.sizeBytes ?? 0 }
}
