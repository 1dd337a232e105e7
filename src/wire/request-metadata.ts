import { build } from '../gen/reapi.js'
import type { CallContext } from './handlers.ts'

const { RequestMetadata } = build.bazel.remote.execution.v2

const metadataKey = 'build.bazel.remote.execution.v2.requestmetadata-bin'

export interface ClientDetails {
  readonly toolName: string
  readonly toolVersion: string
  readonly toolInvocationId: string
  readonly correlatedInvocationsId: string
  readonly actionId: string
  readonly targetId: string
  readonly actionMnemonic: string
}

/** What the client tells about the build that calls; undefined if nothing, or nothing readable. */
export function clientDetailsOf(call: CallContext): ClientDetails | undefined {
  const value = call.metadata(metadataKey)
  if (value === undefined) return undefined
  try {
    const decoded = RequestMetadata.decode(Buffer.from(value, 'base64'))
    return {
      toolName: decoded.toolDetails?.toolName ?? '',
      toolVersion: decoded.toolDetails?.toolVersion ?? '',
      toolInvocationId: decoded.toolInvocationId,
      correlatedInvocationsId: decoded.correlatedInvocationsId,
      actionId: decoded.actionId,
      targetId: decoded.targetId,
      actionMnemonic: decoded.actionMnemonic,
    }
  } catch {
    return undefined
  }
}
