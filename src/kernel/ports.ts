// Ports to everything that is not deterministic or that leaves the process. All of them are passed in.

import type { Children, CounterMetric, GaugeMetric, HistogramMetric, Labels } from './metrics/metric.ts'

/** Time. `now` is wall-clock milliseconds since the epoch; `monotonic` is milliseconds that never step back. */
export interface Clock {
  now(): number
  monotonic(): number
  /**
   * `monotonic` less the time in which this process could not listen because its event loop stood still: what others
   * are judged by, who cannot be heard meanwhile.
   */
  attentive(): number
  /** Calls back once after `ms`; the returned function cancels. Timers never keep a process alive. */
  after(ms: number, callback: () => void): () => void
  /** Calls back once what has arrived at this process by now has been handled; the returned function cancels. */
  turn(callback: () => void): () => void
}

/** How late the event loop runs. */
export interface LoopLag {
  /** Milliseconds by which the loop is late: what is read from a socket now may have waited there for so long. */
  lagMs(): number
}

/** How near this process is to the end of its memory. */
export interface ProcessMemory {
  /** Of what it may have, the share that is in use, 0 to 1: of the heap or of the container, whichever is nearer to its end. */
  usedShare(): number
}

/** A source of random numbers in [0, 1). */
export type Random = () => number

/** Structured logging: fields first, then the message. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Logger
}

/** One child of a metric: the series with its label values. */
export interface Counter {
  add(count?: number): void
}

export interface Gauge {
  set(value: number): void
}

/** Observes values in the unit of the metric's name (seconds, bytes). */
export interface Histogram {
  observe(value: number): void
}

/**
 * Gives the children of metrics: one for each combination of label values, made when it is first asked for. Asking again is
 * a look-up without a copy kept elsewhere: requests may do it. A metric has a bounded number of children; beyond that, label
 * values share one.
 */
export interface Meter {
  counter<L extends Labels>(metric: CounterMetric<L>): Children<L, Counter>
  gauge<L extends Labels>(metric: GaugeMetric<L>): Children<L, Gauge>
  histogram<L extends Labels>(metric: HistogramMetric<L>): Children<L, Histogram>
}
