import type { AssetKind } from '../asset/asset-request.ts'
import { parseAssetUris } from '../asset/asset-uri.ts'
import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'
import { parseQualifiers, type Qualifier } from '../asset/qualifiers.ts'
import type { AssetIndex, AssetRow } from '../asset-index/asset-index.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { build } from '../gen/reapi.js'
import { digestFromProto, digestFunctionFromProto } from '../wire/digests.ts'
import type { HandlersOf, pushService } from '../wire/methods.ts'
import { timestampFromProto } from '../wire/times.ts'
import type { Instances } from './instances.ts'

type PushRequest =
  | build.bazel.remote.asset.v1.PushBlobRequest
  | build.bazel.remote.asset.v1.PushDirectoryRequest

/** Digests in `references_blobs` and `references_directories` together. */
const referencesMax = 100_000

export interface PushServiceOptions {
  readonly index: AssetIndex
  readonly store: BlobStore
  readonly instances: Instances
  /** False for a server whose clients keep content elsewhere (`push.requireBlobs`). */
  readonly requireBlobs: boolean
  readonly clock: () => number
}

/** The service build.bazel.remote.asset.v1.Push: records what a client says a URI means. */
export function createPushService(options: PushServiceOptions): HandlersOf<typeof pushService> {
  return {
    PushBlob: async (message) => {
      await push(options, 'blob', message, message.blobDigest, 'blob_digest')
      return {}
    },
    PushDirectory: async (message) => {
      const field = 'root_directory_digest'
      await push(options, 'directory', message, message.rootDirectoryDigest, field)
      return {}
    },
  }
}

async function push(
  options: PushServiceOptions,
  kind: AssetKind,
  message: PushRequest,
  digestMessage: build.bazel.remote.execution.v2.Digest.$Properties | null | undefined,
  digestField: string,
): Promise<void> {
  const uris = parseAssetUris(message.uris)
  const instance = options.instances.accept(message.instanceName)
  const qualifiers = parseQualifiers(message.qualifiers as Qualifier[])
  const digestFunction = digestFunctionFromProto(message.digestFunction)
  const digest = digestFromProto(digestMessage, digestFunction, digestField)
  const references = parseReferences(message, digest)
  const expiresAtMs = timestampFromProto(message.expireAt, 'expire_at')
  await requireHeld(options, digest, digestField)
  // References are hints: what is held lives longer, what is not does not fail the push.
  await options.store.findMissing(references)
  const rows = uris.map(
    (uri): AssetRow => ({
      kind,
      instance,
      digestFunction: digest.function,
      uri: uri.text,
      qualifiers: qualifiers.stable,
      digest,
      source: 'pushed',
      scope: '',
      retrievedAtMs: options.clock(),
      // A timestamp of zero is as good as none.
      expiresAtMs: expiresAtMs || undefined,
      etag: undefined,
      lastModified: undefined,
      finalUri: undefined,
      resolved: [],
    }),
  )
  await options.index.put(rows)
}

function parseReferences(message: PushRequest, { function: digestFunction }: Digest): Digest[] {
  const blobs = message.referencesBlobs
  const directories = message.referencesDirectories
  if (blobs.length + directories.length > referencesMax) {
    throw invalidField('references_blobs', `at most ${referencesMax} references are accepted`)
  }
  return [
    ...blobs.map((blob) => digestFromProto(blob, digestFunction, 'references_blobs')),
    ...directories.map((root) => digestFromProto(root, digestFunction, 'references_directories')),
  ]
}

/** The root alone is asked for: a large tree's whole presence is proven when it is asked for. */
async function requireHeld(
  { store, requireBlobs }: PushServiceOptions,
  digest: Digest,
  field: string,
): Promise<void> {
  if (!requireBlobs) return
  const missing = await store.findMissing([digest])
  if (missing.length === 0) return
  throw new AssetError(
    'FAILED_PRECONDITION',
    `${field}: ${digestText(digest)} is not in the CAS; upload it before the push ` +
      '(an index-only server sets push.requireBlobs to false)',
  )
}
