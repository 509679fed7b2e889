// What a gRPC front door is, whatever host serves it: services of methods that take bytes and give bytes.

import { Code } from '../kernel/status.ts'
import type { Priority } from './admission.ts'

/** A call that fails: a google.rpc.Code other than OK, and what the caller is told; it travels in a header. */
export class GrpcFailure {
  readonly code: number
  readonly details: string

  constructor(code: number, details: string) {
    this.code = code
    this.details = details
  }
}

/** What a method may know of a call beside its messages. */
export interface GrpcCall {
  /** When the caller stops waiting, in milliseconds since the epoch; `Infinity` where it set no deadline. */
  readonly deadline: number
  /** The address of who calls, for logs. */
  readonly peer: string
}

/** The encoded response, or why there is none. */
export type GrpcReply = Uint8Array | GrpcFailure

interface MethodBasis {
  /** `/<service>/<method>`. */
  readonly path: string
  /** The name of its door where its calls are shed in an overload. Calls of other methods always come in. */
  readonly door?: { readonly name: string; readonly priority: Priority }
}

/** One message asks, one answers. */
export interface UnaryMethod extends MethodBasis {
  readonly kind: 'unary'
  /**
   * The request's bytes belong to the method: the host does not write to them again. A failure is a reply: what is thrown
   * or rejected is a fault of ours, of which the caller hears no more than that.
   */
  answer(request: Uint8Array, call: GrpcCall): GrpcReply | Promise<GrpcReply>
}

/** The host's side of a call of several messages. Once the call is over, nothing here does anything. */
export interface GrpcStream extends GrpcCall {
  /** Sends one message. @returns `false` where the caller reads slower than we write; then `drained` follows. */
  write(message: Uint8Array): boolean
  /**
   * Ends the call, with OK where there is no failure. What the caller has sent before it knows of that may still come as
   * messages where there is none, and nothing else.
   */
  end(failure?: GrpcFailure): void
  /** Reads no further messages for now, so that flow control holds the caller back; some may still come. */
  pause(): void
  resume(): void
}

/** The method's side of a call of several messages. */
export interface GrpcStreamHandler {
  /** One message of the caller, whose bytes belong to the method. */
  message(bytes: Uint8Array): void
  /** The caller sends no more, and waits for the end; or it has gone, in which case `closed` comes next. */
  halfClosed(): void
  /** The call is over without `end`: the caller took it back, ran out of time or is gone. Nothing follows. */
  closed(): void
  /** What was written has been taken. */
  drained?(): void
  /** The connection is to close, and the server goes on: a call that would go on for ever ends, and its caller begins another. */
  leave?(): void
}

/** Any number of messages either way. */
export interface StreamMethod extends MethodBasis {
  readonly kind: 'stream'
  open(stream: GrpcStream): GrpcStreamHandler
}

export type GrpcMethod = UnaryMethod | StreamMethod

/** One gRPC service. */
export interface GrpcService {
  /** Full name, such as `envoy.service.auth.v3.Authorization`; health checks may ask for it. */
  readonly name: string
  readonly methods: readonly GrpcMethod[]
  /** Tells callers that the server will end, while it serves on. */
  retire?(): void
  /** Ends what would otherwise go on for ever (streams), once peers know that the server takes no more calls. */
  drain?(): void
}

/**
 * The handler of a stream whose caller sends exactly one message: `start` gets it when the caller has sent all. Other
 * numbers of messages fail with UNIMPLEMENTED, as gRPC says.
 */
export function afterOneRequest(
  stream: GrpcStream,
  start: (request: Uint8Array) => void,
  closed: () => void,
): GrpcStreamHandler {
  let request: Uint8Array | undefined
  const refuse = (what: string) => stream.end(new GrpcFailure(Code.UNIMPLEMENTED, what))
  return {
    message(bytes) {
      if (request === undefined) request = bytes
      else refuse('this method takes one request message, and a second one came')
    },
    halfClosed() {
      if (request === undefined) refuse('this method takes one request message, and none came')
      else start(request)
    },
    closed,
  }
}
