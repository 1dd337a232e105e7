import type { Log } from '../telemetry/log.ts'
import type { MethodMeter, Metrics } from '../telemetry/metrics.ts'
import type { CallHooks } from './adapters.ts'
import type { BoundService } from './methods.ts'
import { requestMetadata } from './request-metadata.ts'
import { statusName } from './status.ts'

/** Counts every call, and logs it at level `debug` (a busy server answers thousands a second). */
export function callTelemetry(
  services: readonly BoundService[],
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): Required<CallHooks> {
  const meters = new Map<string, MethodMeter>()
  for (const { method } of services.flatMap((service) => service.methods)) {
    meters.set(method.path, metrics.methodMeter(method.path, method.kind))
  }
  return {
    onCall(call, code, durationMs) {
      const meter = meters.get(call.path)
      meter?.started()
      meter?.handled(statusName(code), durationMs / 1000)
      if (!log.isDebug) return
      log.debug('call', {
        'grpc.method': call.path,
        'grpc.code': statusName(code),
        durationMs: Math.round(durationMs),
        peer: call.peer,
        ...requestMetadata(call),
      })
    },
    onUnexpectedError(call, error) {
      log.error('a call failed for a reason of our own', { 'grpc.method': call.path, error })
    },
  }
}
