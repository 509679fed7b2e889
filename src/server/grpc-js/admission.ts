// Admission at the grpc-js server: decides about a call when its headers are read, before grpc-js makes a call of them and
// long before a message is decoded. A refusal there costs about a third of what an answer costs.

import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import type { Admission } from '../admission.ts'
import { gateOf, type MethodGate, readTimeout } from '../grpc-gate.ts'
import type { GrpcFailure, GrpcService } from '../grpc-service.ts'

/** Takes a stream that was let in. */
type Accept = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** Handles one new stream: refuses it, or hands it on to `accept`. */
export type StreamGate = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, accept: Accept) => void

/** The header has eight digits at most. */
const MAX_DIGITS = 99_999_999

export function streamGate(
  admission: Admission,
  services: readonly GrpcService[],
  defaultTimeoutMs: number,
): StreamGate {
  const gates = new Map<unknown, MethodGate>()
  for (const method of services.flatMap(({ methods }) => methods)) {
    const gate = gateOf(admission, method)
    if (gate !== undefined) gates.set(method.path, gate)
  }
  return (stream, headers, accept) => {
    const gate = gates.get(headers[':path'])
    if (gate === undefined) return accept(stream, headers)
    const header = headers['grpc-timeout']
    // What cannot be read is left for grpc-js to refuse.
    const timeoutMs = typeof header === 'string' ? readTimeout(header) : undefined
    const refusal = gate.door.admit(timeoutMs ?? defaultTimeoutMs)
    if (refusal !== undefined) return refuse(stream, gate.failures[refusal])
    stream.once('close', gate.door.end)
    // grpc-js counts from when it parses; the caller from when it sent.
    if (timeoutMs !== undefined) {
      const leftMs = timeoutMs - admission.waitedMs()
      headers['grpc-timeout'] = `${Math.min(MAX_DIGITS, Math.max(1, Math.round(leftMs)))}m`
    }
    accept(stream, headers)
  }
}

/** A stream that the peer has taken back meanwhile is no matter. */
const ignore = () => {}
/** The date is of no use in gRPC, and costs. */
const WITHOUT_MORE = { endStream: true, sendDate: false }

/** Answers with trailers alone; what of the message is still under way is thrown away. */
export function refuse(stream: ServerHttp2Stream, { code, details }: GrpcFailure): void {
  stream.on('error', ignore)
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(code), 'grpc-message': details },
    WITHOUT_MORE,
  )
}
