import { type Digest, digestText } from '../asset/digest.ts'
import { AssetError, invalidField } from '../asset/errors.ts'
import type { ActionResults } from '../cas/action-results.ts'
import type { BlobStore } from '../cas/blob-store.ts'
import type { build } from '../gen/reapi.js'
import { digestFromProto } from '../wire/digests.ts'
import type { actionCacheService, HandlersOf } from '../wire/methods.ts'
import {
  type ActionResultMessage,
  contentOf,
  decodeActionResult,
  encodeActionResult,
} from './action-result-content.ts'
import { inlineContent } from './action-result-inlining.ts'
import { findMissingContent } from './action-result-presence.ts'
import type { Instances } from './instances.ts'
import { functionOfRequest } from './request-digests.ts'

type v2 = typeof build.bazel.remote.execution.v2
type GetRequest = ReturnType<v2['GetActionResultRequest']['decode']>
type UpdateRequest = ReturnType<v2['UpdateActionResultRequest']['decode']>

export interface ActionCacheDeps {
  readonly store: BlobStore
  readonly results: ActionResults
  readonly instances: Instances
  /** False refuses UpdateActionResult with PERMISSION_DENIED. */
  readonly actionCacheUpdates: boolean
}

/** Larger results could not be answered in one message of 4 MiB. */
const actionResultBytesMax = 3 * 1024 ** 2

/**
 * Results of actions by instance name. A result is answered only while all content it names is
 * held, because a client that got one does not build the action any more.
 */
export function createActionCacheService({
  store,
  results,
  instances,
  actionCacheUpdates,
}: ActionCacheDeps): HandlersOf<typeof actionCacheService> {
  return {
    GetActionResult: async (request) => {
      instances.accept(request.instanceName)
      return getActionResult(store, results, request)
    },
    UpdateActionResult: async (request) => {
      instances.accept(request.instanceName)
      if (!actionCacheUpdates) {
        throw new AssetError('PERMISSION_DENIED', 'this action cache does not accept updates')
      }
      return updateActionResult(results, request)
    },
  }
}

async function getActionResult(
  store: BlobStore,
  results: ActionResults,
  request: GetRequest,
): Promise<ActionResultMessage> {
  const action = actionOf(request)
  const bytes = await results.get(request.instanceName, action)
  if (bytes === undefined) {
    throw new AssetError('NOT_FOUND', `no result is known for action ${digestText(action)}`)
  }
  const result = decodeActionResult(bytes)
  const missing = await findMissingContent(store, contentOf(result, action.function))
  if (missing) {
    throw new AssetError(
      'NOT_FOUND',
      `the result of action ${digestText(action)} names ${digestText(missing)}, which is not held`,
    )
  }
  const measured = { result, resultBytes: bytes.byteLength }
  await inlineContent(store, action.function, measured, request)
  return result
}

async function updateActionResult(
  results: ActionResults,
  request: UpdateRequest,
): Promise<ActionResultMessage> {
  const action = actionOf(request)
  const result = request.actionResult
  if (!result) throw invalidField('action_result', 'is required')
  // Proven here, so that what is stored can be trusted when it is read.
  contentOf(result, action.function)
  const bytes = encodeActionResult(result)
  if (bytes.byteLength > actionResultBytesMax) {
    throw invalidField(
      'action_result',
      `has ${bytes.byteLength} bytes, more than actionResultBytesMax = ${actionResultBytesMax}`,
    )
  }
  await results.put(request.instanceName, action, bytes)
  return result
}

function actionOf({ actionDigest, digestFunction }: GetRequest | UpdateRequest): Digest {
  const named = functionOfRequest(digestFunction, actionDigest)
  return digestFromProto(actionDigest, named, 'action_digest')
}
