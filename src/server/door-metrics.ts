// Counts and times what a front door answered.

import type { Clock, Counter, Meter } from '../kernel/ports.ts'
import { Code, type CodeName } from '../kernel/status.ts'

export interface DoorMetrics {
  /** Records one finished call: its google.rpc.Code and when it began on the monotonic clock. */
  finished(code: number, startedAt: number): void
}

/** Resolves the series of a front door (`ext_authz`, `http_check`, …) once, so that calls only count. */
export function createDoorMetrics(options: {
  readonly meter: Meter
  readonly clock: Clock
  readonly door: string
}): DoorMetrics {
  const { meter, clock, door } = options
  const requests = meter.counter({
    name: 'server_requests_total',
    help: 'Calls that a front door answered, by status of the answer.',
    labels: ['door', 'code'],
  })
  const seconds = meter.histogram({
    name: 'server_request_duration_seconds',
    help: 'Time from a decoded call to its answer.',
    labels: ['door'],
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  })(door)
  const byCode: readonly Counter[] = (Object.keys(Code) as CodeName[]).map((name) => requests(door, name))
  const unknown = byCode[Code.UNKNOWN]
  return {
    finished(code, startedAt) {
      ;(byCode[code] ?? unknown)?.add()
      seconds.observe((clock.monotonic() - startedAt) / 1000)
    },
  }
}
