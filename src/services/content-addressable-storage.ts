import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError } from '../asset/errors.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { DirectoryWalkLimits } from '../cas/directory-walk.ts'
import type { build } from '../gen/reapi.js'
import { digestFromProto, digestToProto } from '../wire/digests.ts'
import type { contentAddressableStorageService, HandlersOf } from '../wire/methods.ts'
import { batchReadBlobs } from './batch-read.ts'
import { batchUpdateBlobs } from './batch-update.ts'
import { getTree } from './get-tree.ts'
import type { Instances } from './instances.ts'
import { functionOfRequest } from './request-digests.ts'

type v2 = typeof build.bazel.remote.execution.v2
type FindMissingRequest = ReturnType<v2['FindMissingBlobsRequest']['decode']>
type FindMissingResponse = build.bazel.remote.execution.v2.FindMissingBlobsResponse.$Properties

export interface ContentAddressableStorageDeps {
  readonly store: BlobStore
  readonly instances: Instances
  /** Of GetTree; left out for the defaults. */
  readonly walkLimits?: DirectoryWalkLimits
}

// To prove a digest takes half a microsecond.
const parsedPerTurn = 8192

// A look-up takes up to 6 µs, so that the event loop gets its turn every 6 ms at the latest, while
// one request may ask for 100,000.
const lookUpsPerTurn = 1024

/**
 * The content-addressable storage of REAPI. One content for all instance names. Blobs are not split
 * into chunks, and the capabilities do not say so.
 */
export function createContentAddressableStorageService({
  store,
  instances,
  walkLimits,
}: ContentAddressableStorageDeps): HandlersOf<typeof contentAddressableStorageService> {
  return {
    FindMissingBlobs: async (request) => {
      instances.accept(request.instanceName)
      return findMissingBlobs(store, request)
    },
    BatchUpdateBlobs: async (request) => {
      instances.accept(request.instanceName)
      return batchUpdateBlobs(store, request)
    },
    BatchReadBlobs: async (request) => {
      instances.accept(request.instanceName)
      return batchReadBlobs(store, request)
    },
    GetTree: (request) => {
      instances.accept(request.instanceName)
      return getTree(store, request, walkLimits)
    },
    SplitBlob: () => refuse('SplitBlob'),
    SpliceBlob: () => refuse('SpliceBlob'),
  }
}

async function findMissingBlobs(
  store: BlobStore,
  request: FindMissingRequest,
): Promise<FindMissingResponse> {
  const { blobDigests } = request
  const digestFunction = functionOfRequest(request.digestFunction, blobDigests[0])
  // All are proven before any is looked up: a bad one must not extend the life of the others.
  const digests: Digest[] = []
  for (const [index, message] of blobDigests.entries()) {
    if (index > 0 && index % parsedPerTurn === 0) await nextTurn()
    digests.push(digestFromProto(message, digestFunction, `blob_digests[${index}]`))
  }
  const missing = new Map<string, Digest>()
  for (let start = 0; start < digests.length; start += lookUpsPerTurn) {
    if (start > 0) await nextTurn()
    for (const digest of await store.findMissing(digests.slice(start, start + lookUpsPerTurn))) {
      missing.set(digestText(digest), digest)
    }
  }
  return { missingBlobDigests: [...missing.values()].map(digestToProto) }
}

async function refuse(method: string): Promise<never> {
  throw new AssetError('UNIMPLEMENTED', `${method} is not offered by this server`)
}
