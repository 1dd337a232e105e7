import type { AssetRequest } from '../asset/asset-request.ts'
import type { Digest } from '../asset/digest.ts'
import type { Qualifier } from '../asset/qualifiers.ts'
import type { TreeSelection } from '../importers/importers.ts'

/** Content that is in the CAS now, before the index knows of it. */
export interface FoundContent {
  readonly digest: Digest
  /** What the answer adds to the qualifiers. */
  readonly resolved: readonly Qualifier[]
  readonly finalUri: string | undefined
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/** Content that has no origin of its own, or none that can be asked whether it changed. */
export function plainContent(
  digest: Digest,
  resolved: readonly Qualifier[],
  finalUri?: string,
): FoundContent {
  return { digest, resolved, finalUri, etag: undefined, lastModified: undefined }
}

/** The part of a tree that a request wants. */
export function treeSelection({ digestFunction, qualifiers }: AssetRequest): TreeSelection {
  return {
    digestFunction,
    directory: qualifiers.value('directory'),
    stripPrefix: qualifiers.value('strip_prefix'),
  }
}
