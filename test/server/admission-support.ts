// An admission whose loop a test turns by hand, and a log that keeps its lines.
import type { Clock, Logger, LoopLag } from '../../src/kernel/ports.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { Admission, INTERVAL_MS } from '../../src/server/admission.ts'

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
  now = 0
  idleMs = 0
  lateMs = 0
  #ends: (() => void)[] = []
  readonly clock: Clock = {
    now: () => this.now,
    monotonic: () => this.now,
    attentive: () => this.now,
    after: () => () => {},
    turn: () => () => {},
  }
  readonly loopLag: LoopLag = { lagMs: () => this.lateMs }

  /** For `AdmissionOptions.endOfTurn`. */
  readonly endOfTurn = (callback: () => void): void => void this.#ends.push(callback)

  /** Lets the turn take `ms` more, and ends it. */
  endTurn(ms = 0): void {
    this.now += ms
    for (const end of this.#ends.splice(0)) end()
  }

  /** Nothing to do for a while. */
  rest(ms: number): void {
    this.now += ms
    this.idleMs += ms
  }
}

/** An admission on a loop of its own; `clock` replaces the loop's where timers must fire. */
export function handAdmission(options: { readonly maxInFlight?: number; readonly clock?: Clock } = {}) {
  const loop = new HandLoop()
  const log = new LineLog()
  const meter = createMeter({ processMetrics: false })
  const admission = new Admission({
    clock: options.clock ?? loop.clock,
    log,
    meter,
    loopLag: loop.loopLag,
    maxInFlight: options.maxInFlight ?? 1_000_000,
    idleMs: () => loop.idleMs,
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
