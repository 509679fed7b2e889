// Decoding of Punycode labels (RFC 3492, section 6.2): what follows `xn--` in a host name.

const BASE = 36
const T_MIN = 1
const T_MAX = 26
const SKEW = 38
const DAMP = 700

/** Each character is inserted into those before it, which takes long in long labels. Real ones have 59 characters at most. */
const MAX_LENGTH = 1_000

/** @returns `undefined` where the text is not Punycode, or is too long. */
export function decodePunycode(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const delimiter = text.lastIndexOf('-')
  const output = delimiter > 0 ? Array.from(text.slice(0, delimiter), (char) => char.charCodeAt(0)) : []
  if (text === '' || output.some((code) => code > 127)) return undefined
  let code = 128
  let index = 0
  let bias = 72
  for (let at = delimiter > 0 ? delimiter + 1 : 0; at < text.length; ) {
    const before = index
    for (let weight = 1, k = BASE; ; k += BASE) {
      const digit = digitOf(text.charCodeAt(at++))
      if (digit === undefined) return undefined
      index += digit * weight
      if (index > 0x7fffffff) return undefined
      const threshold = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias
      if (digit < threshold) break
      weight *= BASE - threshold
    }
    const size = output.length + 1
    bias = adapt(index - before, size, before === 0)
    code += Math.floor(index / size)
    index %= size
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined
    output.splice(index++, 0, code)
  }
  return String.fromCodePoint(...output)
}

function digitOf(char: number): number | undefined {
  if (char >= 48 && char <= 57) return char - 22
  const letter = char | 32
  return letter >= 97 && letter <= 122 ? letter - 97 : undefined
}

function adapt(delta: number, size: number, first: boolean): number {
  let rest = first ? Math.floor(delta / DAMP) : delta >> 1
  rest += Math.floor(rest / size)
  let k = 0
  for (; rest > ((BASE - T_MIN) * T_MAX) / 2; k += BASE) rest = Math.floor(rest / (BASE - T_MIN))
  return k + Math.floor(((BASE - T_MIN + 1) * rest) / (rest + SKEW))
}
