// Ports to everything that is not deterministic or that leaves the process. All of them are passed in.

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

/** A metric series with its labels resolved; resolve it when building, not per request. */
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

export interface MetricSpec {
  /** Prometheus name without the `intermix_` prefix. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** Histogram buckets; ignored by other kinds. */
  readonly buckets?: readonly number[]
}

/** Creates metrics; asking twice for the same name gives the same metric. Label values come in the order of `labels`. */
export interface Meter {
  counter(spec: MetricSpec): (...labelValues: string[]) => Counter
  gauge(spec: MetricSpec): (...labelValues: string[]) => Gauge
  histogram(spec: MetricSpec): (...labelValues: string[]) => Histogram
}
