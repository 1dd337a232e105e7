import type { Writer } from 'protobufjs/minimal.js'
import { build, google, grpc } from '../gen/reapi.js'
import type { ClientStreamHandler, ServerStreamHandler, UnaryHandler } from './handlers.ts'

const { asset, execution } = build.bazel.remote
const { bytestream } = google
const { health } = grpc

/** A generated message class: what this room needs of it. */
export interface MessageType {
  encode(message: never, writer?: Writer): Writer
  decode(bytes: Uint8Array): unknown
}

/** What comes out of decoding: every scalar is there, messages that were absent are null. */
export type Decoded<Type extends MessageType> = ReturnType<Type['decode']>
/** What may be given for encoding: fields left out are defaults. */
export type Encodable<Type extends MessageType> = Parameters<Type['encode']>[0]

export type MethodKind = 'unary' | 'serverStream' | 'clientStream'

export interface Method<
  Kind extends MethodKind = MethodKind,
  Request extends MessageType = MessageType,
  Response extends MessageType = MessageType,
> {
  readonly kind: Kind
  readonly path: string
  readonly request: Request
  readonly response: Response
}

export type Methods = Readonly<Record<string, Method>>

export interface ServiceDefinition<M extends Methods = Methods> {
  /** Full name, e.g. `google.bytestream.ByteStream`. */
  readonly name: string
  readonly methods: M
}

export type HandlerOf<M extends Method> =
  M extends Method<infer Kind, infer Request, infer Response>
    ? {
        unary: UnaryHandler<Decoded<Request>, Encodable<Response>>
        serverStream: ServerStreamHandler<Decoded<Request>, Encodable<Response>>
        clientStream: ClientStreamHandler<Decoded<Request>, Encodable<Response>>
      }[Kind]
    : never

/** What implements a service: a handler for each of its methods, under the method's name. */
export type HandlersOf<Service extends ServiceDefinition> = {
  readonly [Name in keyof Service['methods']]: HandlerOf<Service['methods'][Name]>
}

type Unplaced<M extends Method> = Omit<M, 'path'>
type Placed<M> = {
  readonly [Name in keyof M]: M[Name] extends Unplaced<Method<infer Kind, infer Req, infer Res>>
    ? Method<Kind, Req, Res>
    : never
}

function method<Kind extends MethodKind, Req extends MessageType, Res extends MessageType>(
  kind: Kind,
  request: Req,
  response: Res,
): Unplaced<Method<Kind, Req, Res>> {
  return { kind, request, response }
}

function service<const M extends Readonly<Record<string, Unplaced<Method>>>>(
  name: string,
  unplaced: M,
): ServiceDefinition<Placed<M>> {
  const methods = Object.fromEntries(
    Object.entries(unplaced).map(([key, value]) => [key, { ...value, path: `/${name}/${key}` }]),
  )
  return { name, methods: methods as unknown as Placed<M> }
}

export const fetchService = service('build.bazel.remote.asset.v1.Fetch', {
  FetchBlob: method('unary', asset.v1.FetchBlobRequest, asset.v1.FetchBlobResponse),
  FetchDirectory: method('unary', asset.v1.FetchDirectoryRequest, asset.v1.FetchDirectoryResponse),
})

export const pushService = service('build.bazel.remote.asset.v1.Push', {
  PushBlob: method('unary', asset.v1.PushBlobRequest, asset.v1.PushBlobResponse),
  PushDirectory: method('unary', asset.v1.PushDirectoryRequest, asset.v1.PushDirectoryResponse),
})

const v2 = execution.v2

export const contentAddressableStorageService = service(
  'build.bazel.remote.execution.v2.ContentAddressableStorage',
  {
    FindMissingBlobs: method('unary', v2.FindMissingBlobsRequest, v2.FindMissingBlobsResponse),
    BatchUpdateBlobs: method('unary', v2.BatchUpdateBlobsRequest, v2.BatchUpdateBlobsResponse),
    BatchReadBlobs: method('unary', v2.BatchReadBlobsRequest, v2.BatchReadBlobsResponse),
    GetTree: method('serverStream', v2.GetTreeRequest, v2.GetTreeResponse),
    SplitBlob: method('unary', v2.SplitBlobRequest, v2.SplitBlobResponse),
    SpliceBlob: method('unary', v2.SpliceBlobRequest, v2.SpliceBlobResponse),
  },
)

export const actionCacheService = service('build.bazel.remote.execution.v2.ActionCache', {
  GetActionResult: method('unary', v2.GetActionResultRequest, v2.ActionResult),
  UpdateActionResult: method('unary', v2.UpdateActionResultRequest, v2.ActionResult),
})

export const capabilitiesService = service('build.bazel.remote.execution.v2.Capabilities', {
  GetCapabilities: method('unary', v2.GetCapabilitiesRequest, v2.ServerCapabilities),
})

export const byteStreamService = service('google.bytestream.ByteStream', {
  Read: method('serverStream', bytestream.ReadRequest, bytestream.ReadResponse),
  Write: method('clientStream', bytestream.WriteRequest, bytestream.WriteResponse),
  QueryWriteStatus: method(
    'unary',
    bytestream.QueryWriteStatusRequest,
    bytestream.QueryWriteStatusResponse,
  ),
})

export const healthService = service('grpc.health.v1.Health', {
  Check: method('unary', health.v1.HealthCheckRequest, health.v1.HealthCheckResponse),
  List: method('unary', health.v1.HealthListRequest, health.v1.HealthListResponse),
  Watch: method('serverStream', health.v1.HealthCheckRequest, health.v1.HealthCheckResponse),
})

/** A service with what implements it, its types already checked by `bindService`. */
export interface BoundService {
  readonly name: string
  readonly methods: readonly {
    readonly method: Method
    readonly handler: HandlerOf<Method>
  }[]
}

/** Ties handlers to a service; this is where the compiler checks that they fit. */
export function bindService<Service extends ServiceDefinition>(
  definition: Service,
  handlers: HandlersOf<Service>,
): BoundService {
  return {
    name: definition.name,
    methods: Object.entries(definition.methods).map(([name, method]) => ({
      method,
      handler: handlers[name as keyof HandlersOf<Service>] as HandlerOf<Method>,
    })),
  }
}
