// What a load is, and what came of it: both travel as JSON between a scenario and the process that drives it.

import type { Phase } from '../schedule.ts'
import type { Address, Ended } from './connection.ts'
import type { DoorName, RequestKind } from './doors.ts'
import type { HistogramData } from './histogram.ts'

/** A door that is asked, and its share of all requests beside the other parts' shares. */
export interface LoadPart {
  readonly door: DoorName
  readonly address: Address
  readonly share: number
}

export interface Load {
  readonly parts: readonly LoadPart[]
  readonly request: RequestKind
  readonly keys: {
    readonly count: number
    /** Exponent of Zipf's law; 0 asks all keys alike often. */
    readonly zipf: number
    /** Share of the requests that are about a key that was never asked before. Default 0. */
    readonly fresh?: number
  }
  /**
   * Open loop: requests go out at their times, whatever became of earlier ones; where no connection is free, they wait for one,
   * or with `impatient` count as unsent. Closed: so many are always under way.
   */
  readonly pace:
    | { readonly kind: 'open'; readonly phases: readonly Phase[]; readonly impatient?: boolean }
    | { readonly kind: 'closed'; readonly inFlight: number; readonly seconds: number }
  /** The first part of a run, which is not counted. */
  readonly settleSeconds: number
  /** Connections of each part; of HTTP/1.1 at least as many as calls can be under way. */
  readonly connections: number
  /** Who waits longer has gone. */
  readonly timeoutMs: number
  readonly seed: number
  /** Whether answers say allow or deny, and by the oracle of `oracle.ts`; an echo's do not. */
  readonly decides: boolean
  /** Whether each key is asked once before the run, so that caches know it. */
  readonly fill: boolean
  /** Processes whose use of processor and memory is reported. */
  readonly pids: readonly number[]
}

/** Ends of calls, and `wrong`: decided otherwise than the oracle; `gone`: not in time; `unsent`: no connection was free in time. */
export type Counted = Ended | 'wrong' | 'gone' | 'unsent'

/** One second of a run, from its start on. */
export interface Second {
  /** Calls that were due in it. */
  readonly due: number
  readonly answered: number
  /** In microseconds, of the answers in this second. */
  readonly p50: number
  readonly p99: number
}

/** Microseconds; of an open loop from the intended time of sending. */
export interface LoadResult {
  /** Of calls sent after settling. */
  readonly counts: Readonly<Record<Counted, number>>
  /** Why calls had no answer and connections ended, and how often; the first few reasons. */
  readonly reasons: Readonly<Record<string, number>>
  /** Without settling. */
  readonly seconds: number
  readonly latency: HistogramData
  /** Of calls that were shed. */
  readonly shed: HistogramData
  /** How much later than intended the driver came to send calls: its own fault, or its machine's. */
  readonly late: HistogramData
  readonly series: readonly Second[]
  /** Seconds of processor time that the processes of `pids` used in that time, and the driver itself. */
  readonly cpuSeconds: number
  readonly driverCpuSeconds: number
  /** Largest resident memory of the processes of `pids` together, in bytes. */
  readonly peakBytes: number
}

/** Calls that had an answer, right or wrong. */
export function answered({ counts }: Pick<LoadResult, 'counts'>): number {
  return counts.allow + counts.deny + counts.wrong
}

/** Calls that had none. */
export function unanswered({ counts }: Pick<LoadResult, 'counts'>): number {
  return counts.shed + counts.expired + counts.missing + counts.failed + counts.gone + counts.unsent
}

/** Microseconds of processor time for each answer. */
export function cpuMicros(result: LoadResult): number {
  return (result.cpuSeconds * 1e6) / Math.max(1, answered(result))
}

export function perSecond(result: LoadResult): number {
  return answered(result) / result.seconds
}
