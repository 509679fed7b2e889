// Counts and times what a front door answered.

import { SERVER_REQUEST_DURATION_SECONDS, SERVER_REQUESTS_TOTAL } from '../kernel/metrics/doors.ts'
import type { Clock, Counter, Meter } from '../kernel/ports.ts'
import { Code, type CodeName } from '../kernel/status.ts'

export interface DoorMetrics {
  /**
   * Records one finished call: its google.rpc.Code, when it began on the monotonic clock, and when it was answered; that is
   * now, unless somebody has looked.
   */
  finished(code: number, startedAt: number, answeredAt?: number): void
}

/** Resolves the series of a front door (`ext_authz`, `http_check`, …) once, so that calls only count. */
export function createDoorMetrics(options: {
  readonly meter: Meter
  readonly clock: Clock
  readonly door: string
}): DoorMetrics {
  const { meter, clock, door } = options
  const requests = meter.counter(SERVER_REQUESTS_TOTAL)
  const seconds = meter.histogram(SERVER_REQUEST_DURATION_SECONDS)({ door })
  const byCode: readonly Counter[] = (Object.keys(Code) as CodeName[]).map((code) => requests({ door, code }))
  const unknown = byCode[Code.UNKNOWN]
  return {
    finished(code, startedAt, answeredAt = clock.monotonic()) {
      ;(byCode[code] ?? unknown)?.add()
      seconds.observe((answeredAt - startedAt) / 1000)
    },
  }
}
