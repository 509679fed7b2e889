// The front door for Envoy's access logs (gRPC, v3): endless streams that nobody answers. Entries stay bytes.

import { IntermixError } from '../kernel/errors.ts'
import {
  ACCESS_LOG_ENTRIES_TOTAL,
  ACCESS_LOG_LOST_TOTAL,
  ACCESS_LOG_MALFORMED_TOTAL,
  ACCESS_LOG_PAUSES_TOTAL,
} from '../kernel/metrics/doors.ts'
import { DEFAULT_LIMITS } from '../kernel/request-limits.ts'
import { DEFAULT_REPORT_ACKS } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import { scanAccessLog } from '../wire/access-log-scan.ts'
import { ENVOY_ALS } from '../wire/report-formats.ts'
import type { Admission } from './admission.ts'
import { GrpcFailure, type GrpcService, type GrpcStream, type GrpcStreamHandler } from './grpc-service.ts'
import type { DoorDependencies } from './door-dependencies.ts'
import { createRefusals } from './refusals.ts'
import { ReportFlow } from './report-flow.ts'

const NAME = 'envoy.service.accesslog.v3.AccessLogService'

/** How long a stream is not read for, before it is looked whether the overload is over. */
const PAUSE_MS = 100

interface AccessLogDependencies extends Omit<DoorDependencies, 'check' | 'defaultTimeoutMs'> {
  readonly admission: Pick<Admission, 'overloaded'>
}

/** A StreamAccessLogsResponse has no fields. */
const RESPONSE = new Uint8Array(0)

/**
 * The AccessLogService. A proxy says who it is in the first message of a stream only, so that part is kept for the
 * stream and put before each later message: fields of protobuf messages may be joined as bytes.
 */
export function accessLogService(dependencies: AccessLogDependencies): GrpcService {
  const {
    report,
    nextBatchId,
    reportAcks = DEFAULT_REPORT_ACKS,
    clock,
    meter,
    admission,
    limits = DEFAULT_LIMITS,
  } = dependencies
  const refused = createRefusals({ ...dependencies, door: 'access_log' })
  const entries = meter.counter(ACCESS_LOG_ENTRIES_TOTAL)()
  const lost = meter.counter(ACCESS_LOG_LOST_TOTAL)()
  const malformed = meter.counter(ACCESS_LOG_MALFORMED_TOTAL)()
  const paused = meter.counter(ACCESS_LOG_PAUSES_TOTAL)()
  const open = new Set<() => void>()

  const receive = (stream: GrpcStream): GrpcStreamHandler => {
    let identifier: Uint8Array | undefined
    let halfClosed = false
    let ended = false
    let failed = false
    const flow = new ReportFlow({
      report,
      ack: reportAcks.access_log,
      clock,
      nextBatchId,
      onRoom: () => {
        if (halfClosed && flow.isEmpty) end()
        else giveWay()
      },
      onLost: ({ count }, why) => {
        lost.add(count)
        if (why !== undefined) refused(why, stream.peer)
      },
    })
    const end = (failure?: IntermixError) => {
      if (ended) return
      ended = true
      failed = failure !== undefined
      open.delete(close)
      flow.end()
      if (failure !== undefined) return stream.end(new GrpcFailure(Code.INVALID_ARGUMENT, failure.message))
      stream.write(RESPONSE)
      stream.end()
    }
    const close = () => end()
    const take = (message: Uint8Array) => {
      const scan = scanAccessLog(message, limits)
      const payload =
        scan.identifier === undefined && identifier !== undefined ? Buffer.concat([identifier, message]) : message
      // A copy: the whole message would be kept alive by a view of it.
      if (scan.identifier !== undefined) identifier = Uint8Array.from(scan.identifier)
      if (scan.entries === 0) return
      entries.add(scan.entries)
      flow.add({
        id: nextBatchId(),
        format: ENVOY_ALS.name,
        count: scan.entries,
        payload,
        acceptedAt: clock.now(),
      })
    }
    // Flow control does the rest: the proxy holds back, and drops by its own rules.
    let isPaused = false
    let cancelPause = () => {}
    const giveWay = () => {
      cancelPause()
      if (ended || !(admission.overloaded || flow.isFull)) {
        if (isPaused) stream.resume()
        isPaused = false
        return
      }
      if (!isPaused) stream.pause()
      isPaused = true
      paused.add()
      cancelPause = clock.after(PAUSE_MS, giveWay)
    }
    open.add(close)
    const message = (bytes: Uint8Array) => {
      // What was under way when we ended it is as good as what came before.
      if (failed) return
      try {
        take(bytes)
      } catch (caught) {
        const error = IntermixError.from(caught)
        malformed.add()
        refused(error, stream.peer)
        end(error)
      }
      if (admission.overloaded || flow.isFull) giveWay()
    }
    return {
      message,
      halfClosed() {
        halfClosed = true
        if (flow.isEmpty) end()
      },
      closed: close,
      leave: close,
    }
  }
  return {
    name: NAME,
    methods: [{ kind: 'stream', path: `/${NAME}/StreamAccessLogs`, open: receive }],
    drain() {
      for (const close of open) close()
    },
  }
}
