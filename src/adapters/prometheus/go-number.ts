// Numbers as Mixer's expositions had them: as Go's `strconv.FormatFloat(value, 'g', -1, 64)` prints them.

/** From here on Go writes an exponent where it was asked for as few digits as possible. */
const LARGE = 6
const SMALL = -5

/** The fewest digits that read back as the same number; with an exponent below 0.0001 and from a million on. */
export function goNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value)
  const [digits = '', exponent = ''] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power > SMALL && power < LARGE) return String(value)
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}
