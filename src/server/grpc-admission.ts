// Admission at the gRPC server: decides about a call when its headers are read, before grpc-js makes a call of them and
// long before a message is decoded. A refusal there costs about a third of what an answer costs.

import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { status as grpcStatus } from '@grpc/grpc-js'
import type { Admission, DoorAdmission, Priority, Refusal } from './admission.ts'
import type { GrpcService } from './grpc-service.ts'

interface GrpcStatus {
  readonly code: number
  readonly details: string
}

/** Takes a stream that was let in. */
type Accept = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

/** Handles one new stream: refuses it, or hands it on to `accept`. */
export type StreamGate = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, accept: Accept) => void

/** A check is asked of another node; a report is better not sent again at once. */
const CODES: Readonly<Record<Priority, number>> = {
  check: grpcStatus.UNAVAILABLE,
  report: grpcStatus.RESOURCE_EXHAUSTED,
}

function statusesOf(priority: Priority): Readonly<Record<Refusal, GrpcStatus>> {
  const code = CODES[priority]
  return {
    overload: { code, details: 'overloaded: ask another node' },
    in_flight: { code, details: 'too many calls in flight: ask another node' },
    deadline: { code: grpcStatus.DEADLINE_EXCEEDED, details: 'the deadline has passed before the call was read' },
  }
}

/** Methods without a door (health, streams without an answer) always come in. */
export function streamGate(
  admission: Admission,
  services: readonly GrpcService[],
  defaultTimeoutMs: number,
): StreamGate {
  const doors = new Map<unknown, { readonly door: DoorAdmission; readonly statuses: ReturnType<typeof statusesOf> }>()
  for (const { path, door } of services.flatMap(({ methods }) => methods)) {
    if (door === undefined) continue
    doors.set(path, { door: admission.door(door.name, door.priority), statuses: statusesOf(door.priority) })
  }
  return (stream, headers, accept) => {
    const known = doors.get(headers[':path'])
    if (known === undefined) return accept(stream, headers)
    const { door, statuses } = known
    const timeoutMs = readTimeout(headers['grpc-timeout'])
    const refusal = door.admit(timeoutMs ?? defaultTimeoutMs)
    if (refusal !== undefined) return refuse(stream, statuses[refusal])
    stream.once('close', door.end)
    // grpc-js counts from when it parses; the caller from when it sent.
    if (timeoutMs !== undefined) {
      const leftMs = timeoutMs - admission.waitedMs()
      headers['grpc-timeout'] = `${Math.min(MAX_DIGITS, Math.max(1, Math.round(leftMs)))}m`
    }
    accept(stream, headers)
  }
}

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 }
const TIMEOUT = /^(\d{1,8})([HMSmun])$/
/** The header has eight digits at most. */
const MAX_DIGITS = 99_999_999

/** What cannot be read is left for grpc-js to refuse. */
function readTimeout(header: string | string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? TIMEOUT.exec(header) : null
  return match === null ? undefined : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)
}

/** A stream that the peer has taken back meanwhile is no matter. */
const ignore = () => {}
/** The date is of no use in gRPC, and costs. */
const WITHOUT_MORE = { endStream: true, sendDate: false }

/** Answers with trailers alone; what of the message is still under way is thrown away. */
export function refuse(stream: ServerHttp2Stream, { code, details }: GrpcStatus): void {
  stream.on('error', ignore)
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(code), 'grpc-message': details },
    WITHOUT_MORE,
  )
}
