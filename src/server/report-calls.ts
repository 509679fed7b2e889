// The front door for what sidecars and libraries have gathered (gRPC): intermix.v1.Reports, thousands of records a call. They
// stay compressed until a worker reads them.

import { IntermixError } from '../kernel/errors.ts'
import { SIDECAR_DROPPED_TOTAL, SIDECAR_RECORDS_TOTAL, SIDECAR_UNKNOWN_RECORDS_TOTAL } from '../kernel/metrics/doors.ts'
import { DROP_REASONS, MAX_CALL_COUNT, type ReportBatch } from '../kernel/report.ts'
import { DEFAULT_REPORT_ACKS, type ReportOutcome } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import { tryOf } from '../telemetry/call-names.ts'
import { REPORT_CALL, REPORT_FORMATS, SPARABLE_REPORT_CALL } from '../wire/report-formats.ts'
import { type ReportCall, readReportCall } from '../wire/reports/report-call.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createDoorMetrics } from './door-metrics.ts'
import { createFailedCalls } from './failed-calls.ts'
import { type GrpcCall, type GrpcReply, type GrpcService } from './grpc-service.ts'

const NAME = 'intermix.v1.Reports'
const DOOR = 'sidecar_report'
/** A ReportReply has no fields. */
const NOTHING = new Uint8Array(0)
const ID = /^[\w.-]{1,200}$/

/**
 * The Reports service. A call becomes one batch, which counts what its sender had to drop as well, and is named so that it
 * counts once however often it comes (`telemetry/call-names.ts`).
 */
export function reportCallService(given: Omit<DoorDependencies, 'check' | 'defaultTimeoutMs'>): GrpcService {
  const { report, clock, meter, nextBatchId, reportAcks = DEFAULT_REPORT_ACKS } = given
  const metrics = createDoorMetrics({ meter, clock, door: DOOR })
  const fail = createFailedCalls({ ...given, door: DOOR, metrics, message: 'a call of reports failed' })
  const records = meter.counter(SIDECAR_RECORDS_TOTAL)()
  const unknown = meter.counter(SIDECAR_UNKNOWN_RECORDS_TOTAL)()
  const dropped = meter.counter(SIDECAR_DROPPED_TOTAL)
  for (const reason of DROP_REASONS) dropped({ reason })

  const answer = (outcome: ReportOutcome, call: ReportCall, startedAt: number, peer: string): GrpcReply => {
    if (outcome !== undefined) return fail(outcome, startedAt, peer)
    for (const { format, count } of call.parts) {
      records.add(count)
      if (!REPORT_FORMATS.has(format)) unknown.add(count)
    }
    for (const { reason, count } of call.dropped) dropped({ reason }).add(count)
    metrics.finished(Code.OK, startedAt)
    return NOTHING
  }
  const take = (payload: Uint8Array, { peer }: GrpcCall): GrpcReply | Promise<GrpcReply> => {
    const startedAt = clock.monotonic()
    try {
      const call = readReportCall(payload)
      const batch = { id: tryOf(nextBatchId(), call.id), ...whatIsIn(call), payload, acceptedAt: clock.now() }
      if (batch.count === 0) return answer(undefined, call, startedAt, peer)
      const outcome = report.accept(batch, reportAcks.sidecar)
      return outcome instanceof Promise
        ? outcome.then((refusal) => answer(refusal, call, startedAt, peer))
        : answer(outcome, call, startedAt, peer)
    } catch (caught) {
      return fail(caught, startedAt, peer)
    }
  }
  return {
    name: NAME,
    methods: [{ kind: 'unary', path: `/${NAME}/Report`, door: { name: DOOR, priority: 'report' }, answer: take }],
  }
}

/**
 * Parts of formats that are not known here are taken with the others: workers read them that have a newer version, or make dead
 * letters of them alone. To refuse them would lose all the rest.
 * @throws IntermixError INVALID_REQUEST where it has no id, a call in it, or a count beyond belief
 */
function whatIsIn({ id, parts, dropped }: ReportCall): Pick<ReportBatch, 'format' | 'count'> {
  if (!ID.test(id))
    throw new IntermixError('INVALID_REQUEST', 'a call of reports needs an id: letters, digits, . _ and -')
  let count = 0
  let isSparable = parts.length > 0
  for (const part of parts) {
    const format = REPORT_FORMATS.get(part.format)
    if (format !== undefined && !('decode' in format))
      throw new IntermixError('INVALID_REQUEST', `a call of reports in a call of reports (${part.format})`)
    isSparable &&= format?.sparable === true
    count += part.count
  }
  for (const each of dropped) count += each.count
  if (count > MAX_CALL_COUNT)
    throw new IntermixError('INVALID_REQUEST', `a call of ${count} records; at most ${MAX_CALL_COUNT} are counted`)
  return { format: (isSparable ? SPARABLE_REPORT_CALL : REPORT_CALL).name, count }
}
