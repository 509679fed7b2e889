// Our services as grpc-js takes them: codecs that hand bytes through, and calls in its own shape.

import type {
  MethodDefinition,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { FAULT } from '../grpc-gate.ts'
import {
  type GrpcCall,
  GrpcFailure,
  type GrpcMethod,
  type GrpcReply,
  type GrpcService,
  type GrpcStream,
  type StreamMethod,
  type UnaryMethod,
} from '../grpc-service.ts'

type JsUnaryCall = ServerUnaryCall<Uint8Array, Uint8Array>
type JsStreamCall = ServerDuplexStream<Uint8Array, Uint8Array>
/** Hears of what a method threw, which no method should. */
type OnFault = (caught: unknown, message: string) => void

/** What `Server.addService` takes. */
export interface JsService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

/** Serves `service` by grpc-js. All streams are of both directions to it: on the wire there is no difference. */
export function jsService(service: GrpcService, onFault: OnFault): JsService {
  const definition: Record<string, MethodDefinition<Uint8Array, Uint8Array>> = {}
  const implementation: UntypedServiceImplementation = {}
  for (const method of service.methods) {
    definition[method.path] = definitionOf(method)
    implementation[method.path] =
      method.kind === 'unary'
        ? (call: JsUnaryCall, reply: sendUnaryData<Uint8Array>) => answer(method, call, reply, onFault)
        : (call: JsStreamCall) => open(method, call, onFault)
  }
  return { definition, implementation }
}

function definitionOf({ path, kind }: GrpcMethod): MethodDefinition<Uint8Array, Uint8Array> {
  const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const streams = kind === 'stream'
  return {
    path,
    requestStream: streams,
    responseStream: streams,
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  }
}

class JsCall implements GrpcCall {
  readonly #call: Pick<JsUnaryCall, 'getDeadline' | 'getPeer'>

  constructor(call: Pick<JsUnaryCall, 'getDeadline' | 'getPeer'>) {
    this.#call = call
  }

  get deadline(): number {
    return Number(this.#call.getDeadline())
  }

  get peer(): string {
    return this.#call.getPeer()
  }
}

function answer(method: UnaryMethod, call: JsUnaryCall, reply: sendUnaryData<Uint8Array>, onFault: OnFault): void {
  const send = (replied: GrpcReply) => (replied instanceof GrpcFailure ? reply(replied) : reply(null, replied))
  const fault = (caught: unknown) => {
    onFault(caught, `${method.path} threw`)
    reply(FAULT)
  }
  let replied: GrpcReply | Promise<GrpcReply>
  try {
    replied = method.answer(call.request, new JsCall(call))
  } catch (caught) {
    return fault(caught)
  }
  if (replied instanceof Promise) replied.then(send, fault)
  else send(replied)
}

class JsStream extends JsCall implements GrpcStream {
  readonly #call: JsStreamCall
  #over = false

  constructor(call: JsStreamCall) {
    super(call)
    this.#call = call
  }

  get over(): boolean {
    return this.#over
  }

  write(message: Uint8Array): boolean {
    return this.#over || this.#call.write(message)
  }

  end(failure?: GrpcFailure): void {
    if (this.#over) return
    this.#over = true
    // What is still to come is read and thrown away, so that the caller is not left standing.
    this.#call.resume()
    if (failure === undefined) this.#call.end()
    else this.#call.emit('error', failure)
  }

  /** The call has ended without us. */
  leave(): void {
    this.#over = true
  }

  pause(): void {
    if (!this.#over) this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }
}

function open(method: StreamMethod, call: JsStreamCall, onFault: OnFault): void {
  const stream = new JsStream(call)
  const guarded = (step: () => void) => {
    if (stream.over) return
    try {
      step()
    } catch (caught) {
      onFault(caught, `${method.path} threw`)
      stream.end(FAULT)
    }
  }
  guarded(() => {
    const handler = method.open(stream)
    const closed = () =>
      guarded(() => {
        stream.leave()
        handler.closed()
      })
    call.on('data', (message: Uint8Array) => guarded(() => handler.message(message)))
    call.on('drain', () => guarded(() => handler.drained?.()))
    call.on('end', () => guarded(() => handler.halfClosed()))
    for (const event of ['error', 'cancelled', 'close']) call.on(event, closed)
  })
}
