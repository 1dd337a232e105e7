import { globSync } from 'node:fs'
import { join } from 'node:path'
import {
  type handleBidiStreamingCall,
  type Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { ServerExtension } from './grpc-server.ts'

const protosDir = join(import.meta.dirname, '../../protos')
const versions = ['v1', 'v1alpha'] as const

type Version = (typeof versions)[number]
type Call = ServerDuplexStream<Buffer, Buffer>

interface Reflector {
  readonly definition: ServiceDefinition
  readonly handle: handleBidiStreamingCall<unknown, unknown>
}

/**
 * Reflection in both versions: old grpcurl only asks for v1alpha. The library and the descriptors
 * take a while to load, so they are loaded when the first client asks.
 */
export function createReflection(serviceNames: readonly string[]): ServerExtension {
  let loading: Promise<ReadonlyMap<Version, Reflector>> | undefined
  return {
    addToServer(server) {
      for (const version of versions) {
        const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`
        const handle = (call: Call): void => {
          // What arrives while the library is loading waits in the stream.
          call.pause()
          loading ??= loadReflectors(serviceNames)
          loading.then(
            (reflectors) => serve(call, reflectors.get(version)),
            () => {
              loading = undefined
              call.emit('error', { code: status.INTERNAL, details: 'reflection is not available' })
            },
          )
        }
        server.addService({ Info: rawDefinition(path) }, { Info: handle })
      }
    },
  }
}

function rawDefinition(path: string) {
  const same = (bytes: Buffer): Buffer => bytes
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

/** The library registers itself with a server; this one only takes note of what it registers. */
async function loadReflectors(
  serviceNames: readonly string[],
): Promise<ReadonlyMap<Version, Reflector>> {
  const [{ ReflectionService }, { load }] = await Promise.all([
    import('@grpc/reflection'),
    import('@grpc/proto-loader'),
  ])
  const files = globSync('**/*.proto', { cwd: protosDir })
  const descriptors = await load(files, { includeDirs: [protosDir], keepCase: true })
  const found = new Map<Version, Reflector>()
  const recorder = {
    addService(definition: ServiceDefinition, handlers: UntypedServiceImplementation) {
      const path = Object.values(definition)[0]?.path ?? ''
      const version = path.startsWith('/grpc.reflection.v1.') ? 'v1' : 'v1alpha'
      const handle = handlers.ServerReflectionInfo as handleBidiStreamingCall<unknown, unknown>
      found.set(version, { definition, handle })
    },
  }
  const reflection = new ReflectionService(descriptors, { services: [...serviceNames] })
  reflection.addToServer(recorder as unknown as Server)
  return found
}

/** Lets the library see decoded messages, as if grpc-js had decoded them. */
function serve(call: Call, reflector: Reflector | undefined): void {
  const method = reflector && Object.values(reflector.definition)[0]
  if (reflector === undefined || method === undefined) {
    call.emit('error', { code: status.UNIMPLEMENTED, details: 'no such version of reflection' })
    return
  }
  const decoded = {
    on(event: string, listener: (message?: unknown) => void) {
      if (event !== 'data') return call.on(event, listener)
      return call.on('data', (bytes: Buffer) => {
        try {
          listener(method.requestDeserialize(bytes))
        } catch {
          const details = 'the reflection request cannot be decoded'
          call.emit('error', { code: status.INVALID_ARGUMENT, details })
        }
      })
    },
    write: (message: unknown) => call.write(method.responseSerialize(message)),
    end: () => call.end(),
  }
  reflector.handle(decoded as unknown as ServerDuplexStream<unknown, unknown>)
  call.resume()
}
