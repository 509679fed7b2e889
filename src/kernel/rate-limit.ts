// Rate limits by descriptors, as Envoy's rate limit service has them: what is asked and what is answered.

/** In the order of their numbers in the protocol, from 1. */
export const RATE_UNITS = ['second', 'minute', 'hour', 'day', 'month', 'year', 'week'] as const
export type RateUnit = (typeof RATE_UNITS)[number]

const DAY = 86_400
/** Windows of a unit follow each other from 1970 on; none is of the calendar. */
export const UNIT_SECONDS: Readonly<Record<RateUnit, number>> = {
  second: 1,
  minute: 60,
  hour: 3_600,
  day: DAY,
  week: 7 * DAY,
  month: 30 * DAY,
  year: 365 * DAY,
}

/** What operators say beside a limit, for filters and logs of the proxy: values as JSON has them. */
export type LimitMetadata = ReadonlyMap<string, MetadataValue>
export type MetadataValue = string | number | boolean | null | readonly MetadataValue[] | LimitMetadata

export interface RateLimit {
  readonly requestsPerUnit: number
  readonly unit: RateUnit
  /** May be empty. */
  readonly name: string
  readonly metadata?: LimitMetadata | undefined
}

export interface DescriptorEntry {
  readonly key: string
  readonly value: string
}

/** One way to describe a request, from the general to the special. */
export interface RateLimitDescriptor {
  readonly entries: readonly DescriptorEntry[]
  /** In place of what is configured; without a unit that is known it is refused. */
  readonly limit?: { readonly requestsPerUnit: number; readonly unit: RateUnit | undefined }
  /** In place of the request's; 0 looks without counting. */
  readonly hitsAddend?: number
}

export interface RateLimitDemand {
  readonly domain: string
  readonly descriptors: readonly RateLimitDescriptor[]
  /** How many hits the request is; 0 stands for 1. */
  readonly hitsAddend: number
}

/** One more than the highest limit: who asks for more is over any limit, and uses up no counter for ever. */
const MOST_HITS = 2 ** 32

/** How many hits a descriptor of a demand is. Clients may choose them (by a header), so no number of them fails a call. */
export function hitsOf({ hitsAddend: own }: RateLimitDescriptor, { hitsAddend }: RateLimitDemand): number {
  return Math.min(MOST_HITS, own ?? Math.max(1, hitsAddend))
}

/** What became of one descriptor. */
export interface DescriptorStatus {
  readonly isOver: boolean
  /** `undefined` where nothing limits it, or nothing can be told of what does. Its unit is where its window is none of them. */
  readonly limit: (Omit<RateLimit, 'unit'> & { readonly unit: RateUnit | undefined }) | undefined
  /** Hits that are left in this window; `UNLIMITED` where it is configured so. */
  readonly remaining: number
  /** Until the window ends, in whole seconds; 0 without a limit. */
  readonly resetSeconds: number
}

/** The most that the protocol can say is left. */
export const UNLIMITED = 0xffff_ffff
export const NO_LIMIT: DescriptorStatus = { isOver: false, limit: undefined, remaining: 0, resetSeconds: 0 }

export interface RateLimitAnswer {
  readonly isOver: boolean
  /** One for each descriptor, in order. */
  readonly statuses: readonly DescriptorStatus[]
  /** Which of them headers tell of: one that refuses, else the one with the least left. */
  readonly nearest: DescriptorStatus | undefined
}
