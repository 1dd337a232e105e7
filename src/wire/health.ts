import { AssetError } from '../asset/errors.ts'
import { grpc } from '../gen/reapi.js'
import type { CallContext } from './handlers.ts'
import { type BoundService, bindService, healthService } from './methods.ts'

const { ServingStatus } = grpc.health.v1.HealthCheckResponse

type ServingStatus = grpc.health.v1.HealthCheckResponse.ServingStatus
type CheckRequest = grpc.health.v1.HealthCheckRequest

export interface Health {
  /** To be served with the other services. */
  readonly service: BoundService
  /** For all names at once; those who watch are told. */
  setServing(isServing: boolean): void
  /** Says NOT_SERVING and ends all watches, so that they do not hold up a shutdown. */
  close(): void
}

/**
 * grpc.health.v1 for the server as a whole (the empty name) and each service. bazel-remote's probe
 * asks for the odd name `/grpc.health.v1.Health/Check`, so that is known as well.
 */
export function createHealth(serviceNames: readonly string[]): Health {
  const names = new Set(['', ...serviceNames, healthService.methods.Check.path])
  let current: ServingStatus = ServingStatus.SERVING
  let isClosed = false
  let changed = Promise.withResolvers<void>()

  const wakeWatchers = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const statusOf = (name: string): ServingStatus =>
    names.has(name) ? current : ServingStatus.SERVICE_UNKNOWN

  async function* watch(request: CheckRequest, call: CallContext) {
    let told: ServingStatus | undefined
    const left = new Promise<void>((resolve) => {
      call.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    while (!call.signal.aborted) {
      const change = changed.promise
      const status = statusOf(request.service)
      if (status !== told) {
        told = status
        yield { status }
      } else if (isClosed) {
        return
      } else {
        await Promise.race([change, left])
      }
    }
  }

  return {
    service: bindService(healthService, {
      async Check(request) {
        if (names.has(request.service)) return { status: current }
        throw new AssetError('NOT_FOUND', 'this server has no service of that name')
      },
      async List() {
        const statuses = [...names].map((name) => [name, { status: current }] as const)
        return { statuses: Object.fromEntries(statuses) }
      },
      Watch: watch,
    }),
    setServing(isServing) {
      current = isServing ? ServingStatus.SERVING : ServingStatus.NOT_SERVING
      wakeWatchers()
    },
    close() {
      current = ServingStatus.NOT_SERVING
      isClosed = true
      wakeWatchers()
    },
  }
}
