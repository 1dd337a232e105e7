/**
 * The shapes of gRPC handlers, free of any transport: services are written against these, and only
 * the server in this room knows which library carries them.
 */

/** What a handler may know about its call. */
export interface CallContext {
  /** Fires when the caller went away or its deadline passed. */
  readonly signal: AbortSignal
  /** Full path, e.g. `/google.bytestream.ByteStream/Read`. */
  readonly path: string
  readonly peer: string
  /** First value of a metadata key: some clients send a key twice. */
  metadata(key: string): string | undefined
}

export type UnaryHandler<Request, Response> = (
  request: Request,
  call: CallContext,
) => Promise<Response>

/**
 * One yielded message is on its way while the next is asked for, never more: a slow client slows the
 * source. A yielded buffer may be reused as soon as the next message is asked for.
 */
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  call: CallContext,
) => AsyncIterable<Response>

/** May answer before the client has sent everything; what still comes is then read and dropped. */
export type ClientStreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  call: CallContext,
) => Promise<Response>
