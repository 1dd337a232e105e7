import { build } from '../gen/reapi.js'
import type { CallContext } from './handlers.ts'

const { RequestMetadata } = build.bazel.remote.execution.v2

/** Bazel, BuildStream 2 and others tell here which build a call belongs to. */
const key = 'build.bazel.remote.execution.v2.requestmetadata-bin'

/** For logs: the tool and its invocation, empty if the client does not tell. */
export function requestMetadata(call: CallContext): Record<string, string> {
  const encoded = call.metadata(key)
  if (encoded === undefined) return {}
  try {
    const message = RequestMetadata.decode(Buffer.from(encoded, 'base64'))
    return {
      tool: message.toolDetails?.toolName ?? '',
      invocation: message.toolInvocationId,
      action: message.actionId,
    }
  } catch {
    // It is only a courtesy of clients: what cannot be read is left out.
    return {}
  }
}
