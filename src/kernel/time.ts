// Timestamps and durations with nanosecond precision, and their text forms (RFC 3339; Go's duration notation).

const NANOS_PER_SECOND = 1_000_000_000n
const NANOS_PER_MILLI = 1_000_000n
const INT64_MAX = 9_223_372_036_854_775_807n

/** A point in time: nanoseconds since the Unix epoch. */
export class Timestamp {
  readonly epochNanos: bigint

  constructor(epochNanos: bigint) {
    this.epochNanos = epochNanos
  }

  static fromMillis(epochMillis: number): Timestamp {
    return new Timestamp(BigInt(Math.round(epochMillis)) * NANOS_PER_MILLI)
  }

  static fromParts(seconds: bigint, nanos: number): Timestamp {
    return new Timestamp(seconds * NANOS_PER_SECOND + BigInt(nanos))
  }

  /** Milliseconds since the epoch, rounded down. */
  toMillis(): number {
    return Number(floorDivide(this.epochNanos, NANOS_PER_MILLI))
  }

  /** Whole seconds and the nanoseconds above them (0 to 999 999 999), as protobuf's Timestamp splits them. */
  toParts(): { seconds: bigint; nanos: number } {
    const seconds = floorDivide(this.epochNanos, NANOS_PER_SECOND)
    return { seconds, nanos: Number(this.epochNanos - seconds * NANOS_PER_SECOND) }
  }

  /** RFC 3339 in UTC with as many fraction digits as needed. */
  toString(): string {
    const { seconds, nanos } = this.toParts()
    const date = new Date(Number(seconds) * 1000)
    if (Number.isNaN(date.getTime())) return `${this.epochNanos}ns since the epoch`
    const whole = date.toISOString().slice(0, -5)
    const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`
    return `${whole}${fraction}Z`
  }

  toJSON(): string {
    return this.toString()
  }
}

/** A span of time in nanoseconds, negative ones included. */
export class Duration {
  readonly nanos: bigint

  constructor(nanos: bigint) {
    this.nanos = nanos
  }

  static fromMillis(millis: number): Duration {
    return new Duration(BigInt(Math.round(millis * 1e6)))
  }

  static fromParts(seconds: bigint, nanos: number): Duration {
    return new Duration(seconds * NANOS_PER_SECOND + BigInt(nanos))
  }

  toMillis(): number {
    return Number(this.nanos) / 1e6
  }

  /** Seconds and nanoseconds with the same sign, as protobuf's Duration splits them. */
  toParts(): { seconds: bigint; nanos: number } {
    const seconds = this.nanos / NANOS_PER_SECOND
    return { seconds, nanos: Number(this.nanos - seconds * NANOS_PER_SECOND) }
  }

  /** Go's notation: `1h5m0s`, `1.5s`, `300ms`, `0s`. */
  toString(): string {
    return formatDuration(this.nanos)
  }

  toJSON(): string {
    return this.toString()
  }
}

const UNIT_NANOS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: NANOS_PER_MILLI,
  s: NANOS_PER_SECOND,
  m: 60n * NANOS_PER_SECOND,
  h: 3600n * NANOS_PER_SECOND,
}

const DURATION_PART = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y

/**
 * Reads a duration in the notation of Go's `time.ParseDuration`: an optional sign and one or more decimal numbers with
 * a unit, such as `300ms`, `-1.5h` or `2h45m`; a bare `0` is allowed.
 * @returns `undefined` where the text is not a duration or does not fit in 64 bits.
 */
export function parseDuration(text: string): Duration | undefined {
  const negative = text.startsWith('-')
  const body = negative || text.startsWith('+') ? text.slice(1) : text
  if (body === '0') return new Duration(0n)
  if (body === '') return undefined
  let total = 0n
  DURATION_PART.lastIndex = 0
  while (DURATION_PART.lastIndex < body.length) {
    const part = DURATION_PART.exec(body)
    if (part === null) return undefined
    const [, whole = '', fraction = '', unit = ''] = part
    if (whole === '' && fraction === '') return undefined
    const scale = UNIT_NANOS[unit] ?? 1n
    const digits = fraction.slice(0, 18)
    total += BigInt(whole === '' ? '0' : whole) * scale
    if (digits !== '') total += (BigInt(digits) * scale) / 10n ** BigInt(digits.length)
    if (total > INT64_MAX) return undefined
  }
  return new Duration(negative ? -total : total)
}

function formatDuration(nanos: bigint): string {
  if (nanos === 0n) return '0s'
  const sign = nanos < 0n ? '-' : ''
  const size = nanos < 0n ? -nanos : nanos
  if (size < 1_000n) return `${sign}${size}ns`
  if (size < NANOS_PER_MILLI) return `${sign}${decimal(size, 1_000n)}µs`
  if (size < NANOS_PER_SECOND) return `${sign}${decimal(size, NANOS_PER_MILLI)}ms`
  const hours = size / (3600n * NANOS_PER_SECOND)
  const minutes = (size / (60n * NANOS_PER_SECOND)) % 60n
  const seconds = `${decimal(size % (60n * NANOS_PER_SECOND), NANOS_PER_SECOND)}s`
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0n ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`
}

function decimal(size: bigint, unit: bigint): string {
  const rest = size % unit
  if (rest === 0n) return String(size / unit)
  const width = String(unit).length - 1
  return `${size / unit}.${String(rest).padStart(width, '0').replace(/0+$/, '')}`
}

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:\d{2})$/

/**
 * Reads an RFC 3339 timestamp such as `2006-01-02T15:04:05.123Z` or `…+07:00`; digits below nanoseconds are cut off.
 * @returns `undefined` where the text is not one, an impossible date included.
 */
export function parseTimestamp(text: string): Timestamp | undefined {
  const parts = RFC3339.exec(text)
  if (parts === null) return undefined
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const sameDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!sameDay || hour > 23 || minute > 59 || second > 59) return undefined
  const zone = parts[8] ?? 'Z'
  const offset = zone === 'Z' ? 0 : offsetMinutes(zone)
  if (offset === undefined) return undefined
  const fraction = BigInt((parts[7] ?? '').slice(0, 9).padEnd(9, '0'))
  return new Timestamp(BigInt(date.getTime() - offset * 60_000) * NANOS_PER_MILLI + fraction)
}

function offsetMinutes(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(4, 6))
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value % by < 0n ? quotient - 1n : quotient
}
