// One encoded request that stands for the requests of all keys: only the digits of the key differ.

/** Keys have so many decimal digits, the lowest first, so that `startsWith` of n digits divides them into 10ⁿ even parts. */
const KEY_DIGITS = 8

export const MAX_KEYS = 10 ** KEY_DIGITS

/** A request's bytes, and where digits of the key are in them: `positions[i]` holds digit `digits[i]`. */
export interface RequestTemplate {
  readonly bytes: Buffer
  readonly positions: readonly number[]
  readonly digits: readonly number[]
}

/** The digits of a key as text. */
export function keyDigits(key: number): string {
  return Array.from(String(key).padStart(KEY_DIGITS, '0')).toReversed().join('')
}

/**
 * Finds the places of the digits by building the request for two keys without a digit in common. Each place holds the digits
 * from the first on, as many as there is room for.
 */
export function requestTemplate(build: (digits: string) => Uint8Array): RequestTemplate {
  const bytes = Buffer.from(build('1'.repeat(KEY_DIGITS)))
  const other = build('2'.repeat(KEY_DIGITS))
  if (other.length !== bytes.length) throw new Error('requests of different keys have different lengths')
  const positions: number[] = []
  const digits: number[] = []
  for (const [at, byte] of bytes.entries()) {
    if (byte === other[at]) continue
    const previous = digits.at(-1) ?? 0
    digits.push(positions.at(-1) === at - 1 && previous + 1 < KEY_DIGITS ? previous + 1 : 0)
    positions.push(at)
  }
  return { bytes, positions, digits }
}

const places = new Uint8Array(KEY_DIGITS)

/** Writes the request of a key to `target` from `start` on; returns where it ends. */
export function writeRequest(
  { bytes, positions, digits }: RequestTemplate,
  target: Buffer,
  start: number,
  key: number,
) {
  target.set(bytes, start)
  let rest = key
  for (let digit = 0; digit < KEY_DIGITS; digit++) {
    places[digit] = 0x30 + (rest % 10)
    rest = (rest / 10) | 0
  }
  for (let i = 0; i < positions.length; i++)
    target[start + (positions[i] as number)] = places[digits[i] as number] as number
  return start + bytes.length
}
