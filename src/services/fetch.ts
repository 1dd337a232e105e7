import type { AssetKind, AssetRequest } from '../asset/asset-request.ts'
import { parseAssetUris } from '../asset/asset-uri.ts'
import { type AssetErrorCode, toAssetError } from '../asset/errors.ts'
import { parseQualifiers, type Qualifier } from '../asset/qualifiers.ts'
import type { build } from '../gen/reapi.js'
import type { Resolved, Resolver } from '../resolve/resolver.ts'
import { digestFunctionFromProto, digestFunctionToProto, digestToProto } from '../wire/digests.ts'
import type { CallContext } from '../wire/handlers.ts'
import type { fetchService, HandlersOf } from '../wire/methods.ts'
import { toInlineStatus } from '../wire/status.ts'
import { durationFromProto, timestampFromProto, timestampToProto } from '../wire/times.ts'
import type { Instances } from './instances.ts'

type FetchRequest =
  | build.bazel.remote.asset.v1.FetchBlobRequest
  | build.bazel.remote.asset.v1.FetchDirectoryRequest

export interface FetchServiceOptions {
  readonly resolver: Resolver
  readonly instances: Instances
  /**
   * How failures of origins are answered: as RPC errors, since Bazel before 8.2, BuildStream 1 and
   * Please overlook the status in the response and take the empty digest for content; or inline, by
   * the letter of `FetchBlobResponse.status`.
   */
  readonly failures: 'rpc' | 'inline'
}

/** Failures that are the origin's; the others are the call's, and always RPC errors. */
const inlineCodes: ReadonlySet<AssetErrorCode> = new Set([
  'NOT_FOUND',
  'PERMISSION_DENIED',
  'CHECKSUM_MISMATCH',
  'UPSTREAM_UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
])

/** The service build.bazel.remote.asset.v1.Fetch. */
export function createFetchService(options: FetchServiceOptions): HandlersOf<typeof fetchService> {
  const answer = async (kind: AssetKind, message: FetchRequest, call: CallContext) => {
    const request = parseFetchRequest(kind, message, options.instances)
    try {
      return toResponse(request, await options.resolver.resolve(request, call.signal))
    } catch (thrown) {
      const error = toAssetError(thrown)
      if (options.failures === 'rpc' || !inlineCodes.has(error.code)) throw thrown
      const status = toInlineStatus(error)
      return { status, uri: request.uris[0]?.text ?? '', digest: undefined }
    }
  }
  return {
    FetchBlob: async (message, call) => {
      const { digest, ...response } = await answer('blob', message, call)
      return digest ? { ...response, blobDigest: digest } : response
    },
    FetchDirectory: async (message, call) => {
      const { digest, ...response } = await answer('directory', message, call)
      return digest ? { ...response, rootDirectoryDigest: digest } : response
    },
  }
}

/**
 * A request from its message. `digest_function` unset means SHA256; a `timeout` of zero is none.
 * @throws AssetError INVALID_ARGUMENT, naming the field
 */
export function parseFetchRequest(
  kind: AssetKind,
  message: FetchRequest,
  instances: Instances,
): AssetRequest {
  return {
    kind,
    instance: instances.accept(message.instanceName),
    uris: parseAssetUris(message.uris),
    qualifiers: parseQualifiers(message.qualifiers as Qualifier[]),
    digestFunction: digestFunctionFromProto(message.digestFunction) ?? 'SHA256',
    oldestAcceptedMs: timestampFromProto(message.oldestContentAccepted, 'oldest_content_accepted'),
    timeoutMs: durationFromProto(message.timeout, 'timeout') || undefined,
  }
}

function toResponse(request: AssetRequest, resolved: Resolved) {
  return {
    // An empty message is OK. Clients that read it, read its code.
    status: {},
    uri: resolved.uri,
    qualifiers: answeredQualifiers(request.qualifiers.stable, resolved.resolved),
    digest: digestToProto(resolved.digest),
    digestFunction: digestFunctionToProto(resolved.digest.function),
    ...(resolved.expiresAtMs === undefined
      ? {}
      : { expiresAt: timestampToProto(resolved.expiresAtMs) }),
  }
}

/** Those asked for, headers excepted, and what the origin adds, e.g. the commit of a branch. */
function answeredQualifiers(
  asked: readonly Qualifier[],
  resolved: readonly Qualifier[],
): Qualifier[] {
  const values = new Map([...asked, ...resolved].map(({ name, value }) => [name, value]))
  return [...values].map(([name, value]) => ({ name, value }))
}
