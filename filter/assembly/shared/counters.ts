// What the filter counts, as statistics of Envoy: gathered here, and told with each tick.

import { Bytes, bytesOf } from '../bytes/bytes'
import { defineMetric, incrementMetric, MetricType } from '../host/abi'

const cell = memory.data(4, 4)

class Statistic {
  private known: u32 = 0
  private isDefined: bool = false

  constructor(
    private readonly type: i32,
    private readonly name: Bytes,
  ) {}

  /** The number that the host has for it; it is made when there is something to tell. */
  protected get id(): u32 {
    if (!this.isDefined) {
      this.isDefined = true
      defineMetric(this.type, this.name.dataStart, this.name.length, cell)
      this.known = load<u32>(cell)
    }
    return this.known
  }
}

export class Counter extends Statistic {
  private count: i64 = 0

  constructor(name: Bytes) {
    super(MetricType.COUNTER, name)
  }

  add(count: i64 = 1): void {
    this.count += count
  }

  tell(): void {
    if (this.count === 0) return
    incrementMetric(this.id, this.count)
    this.count = 0
  }
}

/** One gauge of all modules of this name: each adds what it has. */
export class Gauge extends Statistic {
  private told: i64 = 0

  constructor(name: Bytes) {
    super(MetricType.GAUGE, name)
  }

  tell(value: i64): void {
    if (value === this.told) return
    incrementMetric(this.id, value - this.told)
    this.told = value
  }
}

/** Answers given, by where they came from. */
export const KEPT = new Counter(bytesOf('intermix.answers.kept'))
export const ASKED = new Counter(bytesOf('intermix.answers.node'))
export const STALE = new Counter(bytesOf('intermix.answers.stale'))
/** Requests without an answer: the fail policy decided. */
export const NONE = new Counter(bytesOf('intermix.answers.none'))
export const DENIED = new Counter(bytesOf('intermix.denied'))
/** Requests that waited for the answer to another one. */
export const JOINED = new Counter(bytesOf('intermix.joined'))
export const REFRESHED = new Counter(bytesOf('intermix.refreshed'))
/** Requests that only a node can judge, and are never compared with others. */
export const NOT_COMPARABLE = new Counter(bytesOf('intermix.not_comparable'))
/** Answers that were not kept, by why. */
export const NOT_KEPT_LIFE = new Counter(bytesOf('intermix.not_kept.life'))
export const NOT_KEPT_SHAPE = new Counter(bytesOf('intermix.not_kept.shape'))
export const NOT_KEPT_UNREAD = new Counter(bytesOf('intermix.not_kept.unread'))
export const NOT_KEPT_MISMATCH = new Counter(bytesOf('intermix.not_kept.mismatch'))
export const NOT_KEPT_SIZE = new Counter(bytesOf('intermix.not_kept.size'))
export const EVICTED = new Counter(bytesOf('intermix.evicted'))
export const STREAMS_LOST = new Counter(bytesOf('intermix.streams_lost'))
export const ENTRIES = new Gauge(bytesOf('intermix.entries'))
export const ENTRY_BYTES = new Gauge(bytesOf('intermix.entry_bytes'))

/** The ledger of records, and calls with them. */
export const REPORTS_ACCEPTED = new Counter(bytesOf('intermix.reports.accepted'))
export const REPORTS_SENT = new Counter(bytesOf('intermix.reports.sent'))
export const REPORTS_DROPPED_FULL = new Counter(bytesOf('intermix.reports.dropped.full'))
export const REPORTS_DROPPED_REFUSED = new Counter(bytesOf('intermix.reports.dropped.refused'))
export const REPORTS_DROPPED_END = new Counter(bytesOf('intermix.reports.dropped.end'))
/** Records for which Envoy was asked for each value, since it did not evaluate the expression. */
export const REPORTS_READ_SINGLY = new Counter(bytesOf('intermix.reports.read_singly'))
export const REPORTS_CALLS_TAKEN = new Counter(bytesOf('intermix.reports.calls.taken'))
export const REPORTS_CALLS_FAILED = new Counter(bytesOf('intermix.reports.calls.failed'))
export const REPORTS_CALLS_REFUSED = new Counter(bytesOf('intermix.reports.calls.refused'))

const ALL: StaticArray<Counter> = [
  KEPT,
  ASKED,
  STALE,
  NONE,
  DENIED,
  JOINED,
  REFRESHED,
  NOT_COMPARABLE,
  NOT_KEPT_LIFE,
  NOT_KEPT_SHAPE,
  NOT_KEPT_UNREAD,
  NOT_KEPT_MISMATCH,
  NOT_KEPT_SIZE,
  EVICTED,
  STREAMS_LOST,
  REPORTS_ACCEPTED,
  REPORTS_SENT,
  REPORTS_DROPPED_FULL,
  REPORTS_DROPPED_REFUSED,
  REPORTS_DROPPED_END,
  REPORTS_READ_SINGLY,
  REPORTS_CALLS_TAKEN,
  REPORTS_CALLS_FAILED,
  REPORTS_CALLS_REFUSED,
]

export function tellCounters(): void {
  for (let i = 0; i < ALL.length; i++) ALL[i].tell()
}
