// An admission whose loop a test turns by hand, and a log that keeps its lines.
import type { Logger, LoopLag } from '../../src/kernel/ports.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { Admission, type AdmissionOptions, INTERVAL_MS } from '../../src/server/admission.ts'
import { FakeClock } from '../helpers/clock.ts'

/** Keeps the lines that it is given. */
export class LineLog implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info(_fields: object, message: string): void {
    this.lines.push(`info: ${message}`)
  }
  warn(fields: object, message: string): void {
    this.lines.push(`warn: ${message} ${JSON.stringify(fields)}`)
  }
  error(): void {}
  child(): Logger {
    return this
  }
}

/** A loop under the control of a test: its time, how long it rested, how late it is, and where a turn ends. */
class HandLoop {
  readonly clock = new FakeClock()
  idleMs = 0
  lateMs = 0
  #ends: (() => void)[] = []
  readonly loopLag: LoopLag = { lagMs: () => this.lateMs }

  /** For `AdmissionOptions.endOfTurn`. */
  readonly endOfTurn = (callback: () => void): void => void this.#ends.push(callback)

  get now(): number {
    return this.clock.monotonic()
  }

  /** Lets the turn take `ms` more. */
  work(ms: number): void {
    this.clock.stall(ms)
  }

  /** Lets the turn take `ms` more, and ends it. */
  endTurn(ms = 0): void {
    this.work(ms)
    for (const end of this.#ends.splice(0)) end()
  }

  /** Nothing to do for a while. */
  rest(ms: number): void {
    this.clock.stall(ms)
    this.idleMs += ms
  }
}

/** An admission on a loop of its own. */
export function handAdmission(options: Partial<Pick<AdmissionOptions, 'maxInFlight' | 'patience'>> = {}) {
  const loop = new HandLoop()
  const log = new LineLog()
  const meter = createMeter({ processMetrics: false })
  const admission = new Admission({
    clock: loop.clock,
    log,
    meter,
    loopLag: loop.loopLag,
    maxInFlight: options.maxInFlight ?? 1_000_000,
    idleMs: () => loop.idleMs,
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    endOfTurn: loop.endOfTurn,
  })
  return { admission, loop, log, meter }
}

type Setting = Pick<ReturnType<typeof handAdmission>, 'admission' | 'loop'>

/** Turns that are too long, one after the other, until a queue is standing. A call takes `callMs`. */
export function overload({ admission, loop }: Setting, callMs = 1): void {
  const calls = 20
  for (let past = 0; past <= INTERVAL_MS + calls * callMs; past += calls * callMs) {
    fill(admission, calls)
    loop.endTurn(calls * callMs)
  }
}

/** Calls that come and end in the current turn. @returns how many were let in. */
export function fill(admission: Admission, calls: number, most = Number.POSITIVE_INFINITY): number {
  const door = admission.door('filler', 'check')
  let admitted = 0
  for (let call = 0; call < calls; call++) {
    if (door.admit(Number.POSITIVE_INFINITY, most) !== undefined) continue
    door.end()
    admitted++
  }
  return admitted
}
