// Offsets of time zones, for the parts of timestamps that CEL reads in a zone.

const CACHED_ZONES = 32
const formats = new Map<string, Intl.DateTimeFormat>()

/**
 * How far the zone's clocks are ahead of UTC at a point in time, in milliseconds. A zone is an IANA name or an offset
 * such as `-08:00`. @returns `undefined` where it is neither.
 */
export function zoneOffset(zone: string, millis: number): number | undefined {
  if (zone === 'UTC') return 0
  const [, sign, hours, minutes] = /^([+-]?)(\d{2}):(\d{2})$/.exec(zone) ?? []
  if (hours !== undefined) return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000
  const format = formatOf(zone)
  if (format === undefined) return undefined
  const parts = new Map(format.formatToParts(millis).map(({ type, value }) => [type, Number(value)]))
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
  return local - Math.floor(millis / 1000) * 1000
}

/** Formats are costly to make; zones may come from a request, so only some are kept. */
function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  const known = formats.get(zone)
  if (known !== undefined) return known
  try {
    const digits = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' } as const
    const format = new Intl.DateTimeFormat('en-u-nu-latn', {
      ...digits,
      second: '2-digit',
      hourCycle: 'h23',
      timeZone: zone,
    })
    if (formats.size >= CACHED_ZONES) formats.clear()
    formats.set(zone, format)
    return format
  } catch {
    return undefined
  }
}
