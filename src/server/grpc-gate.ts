// Admission of calls, for any gRPC host: who is asked about a method's calls, and what a refused caller is told.

import { Code, type Status } from '../kernel/status.ts'
import type { Admission, DoorAdmission, Priority, Refusal } from './admission.ts'
import { GrpcFailure, type GrpcMethod } from './grpc-service.ts'

/** A check is asked of another node; a report is better not sent again at once. */
const CODES: Readonly<Record<Priority, number>> = { check: Code.UNAVAILABLE, report: Code.RESOURCE_EXHAUSTED }

/** Stands before the calls of one method. */
export interface MethodGate {
  readonly door: DoorAdmission
  readonly failures: Readonly<Record<Refusal, GrpcFailure>>
}

/** What a caller is told, by why it is refused. `unit` is what was: a call, or one check of a batch. */
export function refusalsOf(priority: Priority, unit: 'call' | 'check'): Readonly<Record<Refusal, Status>> {
  const code = CODES[priority]
  return {
    overload: { code, message: 'overloaded: ask another node' },
    in_flight: { code, message: 'too many calls in flight: ask another node' },
    deadline: { code: Code.DEADLINE_EXCEEDED, message: `the deadline has passed before the ${unit} was read` },
  }
}

/** The gate of a method; methods without a door (health, streams without an answer) have none, and always come in. */
export function gateOf(admission: Admission, { door }: GrpcMethod): MethodGate | undefined {
  if (door === undefined) return undefined
  const { overload, in_flight, deadline } = refusalsOf(door.priority, 'call')
  return {
    door: admission.door(door.name, door.priority),
    failures: { overload: failure(overload), in_flight: failure(in_flight), deadline: failure(deadline) },
  }
}

function failure({ code, message }: Status): GrpcFailure {
  return new GrpcFailure(code, message)
}

/** What a call hears that has not come as a whole when the server goes. */
export const SHUTTING_DOWN = new GrpcFailure(Code.UNAVAILABLE, 'shutting down: ask another node')
/** What a caller hears where a method threw, which no method should. */
export const FAULT = new GrpcFailure(Code.INTERNAL, 'internal error')

const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 }
const TIMEOUT = /^(\d{1,8})([HMSmun])$/

/** Milliseconds of a `grpc-timeout` header; `undefined` where it is none. */
export function readTimeout(header: string): number | undefined {
  const match = TIMEOUT.exec(header)
  return match === null ? undefined : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)
}
