import type { AssetRequest } from '../asset/asset-request.ts'
import type { AssetKey } from '../asset-index/asset-index.ts'

/** The index key of one URI of a request. */
export function assetKey(request: AssetRequest, uri: string): AssetKey {
  return {
    kind: request.kind,
    instance: request.instance,
    digestFunction: request.digestFunction,
    uri,
    qualifiers: request.qualifiers.stable,
  }
}

/** True if the request can only ever mean one content: it names a checksum or a commit. */
export function isImmutable({ qualifiers }: AssetRequest): boolean {
  return qualifiers.integrity !== undefined || qualifiers.value('vcs.commit') !== undefined
}
