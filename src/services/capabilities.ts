import { clientDigestFunctions } from '../asset/digest.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import { build } from '../gen/reapi.js'
import { digestFunctionToProto } from '../wire/digests.ts'
import type { capabilitiesService, HandlersOf } from '../wire/methods.ts'
import { batchBytesMax } from './batch-limits.ts'
import type { Instances } from './instances.ts'

type ServerCapabilities = build.bazel.remote.execution.v2.ServerCapabilities.$Properties

const { Compressor, SymlinkAbsolutePathStrategy } = build.bazel.remote.execution.v2

export interface CapabilitiesDeps {
  readonly store: BlobStore
  readonly instances: Instances
  /** False if UpdateActionResult is refused; Bazel before 7 then does not start. */
  readonly actionCacheUpdates: boolean
}

/**
 * What this server can do, the same for every instance name. `execution_capabilities` stays unset:
 * the Go SDK compares what is in it as soon as it is there, even if execution is not enabled.
 */
export function createCapabilitiesService({
  store,
  instances,
  actionCacheUpdates,
}: CapabilitiesDeps): HandlersOf<typeof capabilitiesService> {
  return {
    GetCapabilities: async (request) => {
      instances.accept(request.instanceName)
      return capabilitiesOf(store, actionCacheUpdates)
    },
  }
}

function capabilitiesOf(store: BlobStore, actionCacheUpdates: boolean): ServerCapabilities {
  return {
    cacheCapabilities: {
      digestFunctions: clientDigestFunctions.map(digestFunctionToProto),
      actionCacheUpdateCapabilities: { updateEnabled: actionCacheUpdates },
      maxBatchTotalSizeBytes: batchBytesMax,
      maxCasBlobSizeBytes: store.blobSizeBytesMax,
      symlinkAbsolutePathStrategy: SymlinkAbsolutePathStrategy.Value.ALLOWED,
      // Not IDENTITY: siso takes the first one, and reads IDENTITY as "no compression".
      supportedCompressors: [Compressor.Value.ZSTD],
      supportedBatchUpdateCompressors: [Compressor.Value.ZSTD],
    },
    // Bazel 4 to 6 speak 2.0 alone, so it must be the lowest.
    deprecatedApiVersion: { major: 2, minor: 0 },
    lowApiVersion: { major: 2, minor: 0 },
    highApiVersion: { major: 2, minor: 11 },
  }
}
