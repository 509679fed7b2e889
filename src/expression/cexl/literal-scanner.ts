// Go's literals: where a number, a string or a rune literal ends, what is wrong inside of it, and what it means.

type Report = (message: string, at: number) => void

const NUMBER = new RegExp(
  [
    '0[xX][0-9a-fA-F_]*(?:\\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?',
    '0[bBoO][0-9_]*',
    '(?:[0-9][0-9_]*)?(?:\\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?',
  ].join('|'),
  'y',
)

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92 }
const CODE_ESCAPES: Readonly<Record<string, { digits: number; base: number }>> = {
  x: { digits: 2, base: 16 },
  u: { digits: 4, base: 16 },
  U: { digits: 8, base: 16 },
}

/** Whether Go counts the character among the letters of identifiers. */
export function isLetter(char: string): boolean {
  return /^[\p{L}_]$/u.test(char)
}

/** Where the number ends and whether it is INT, FLOAT or IMAG; `source[offset]` is a digit or a dot. */
export function readNumber(source: string, offset: number, report: Report): { kind: string; end: number } {
  NUMBER.lastIndex = offset
  const text = NUMBER.exec(source)?.[0] ?? ''
  const hex = /^0[xX]/.test(text)
  const float = hex ? /[.pP]/.test(text) : /[.eE]/.test(text) && !/^0[bBoO]/.test(text)
  if (hex && /^0[xX]_*\.?_*$/.test(text)) report('hexadecimal literal has no digits', offset)
  else if (hex && float && !/[pP]/.test(text)) report("hexadecimal mantissa requires a 'p' exponent", offset)
  else if (/^0[bB]_*$/.test(text)) report('binary literal has no digits', offset)
  else if (/^0[oO]_*$/.test(text)) report('octal literal has no digits', offset)
  else if (float && /[eEpP][+-]?_*$/.test(text)) report('exponent has no digits', offset)
  else if (!float && /^0[0-9_]*[89]/.test(text))
    report(`invalid digit '${/[89]/.exec(text)?.[0]}' in octal literal`, offset)
  const end = offset + text.length
  if (source[end] === 'i') return { kind: 'IMAG', end: end + 1 }
  return { kind: float ? 'FLOAT' : 'INT', end }
}

/** Where a double-quoted string ends. */
export function readQuoted(source: string, offset: number, report: Report): number {
  let at = offset + 1
  for (;;) {
    const char = source[at]
    if (char === undefined || char === '\n') {
      report('string literal not terminated', offset)
      return at
    }
    at++
    if (char === '"') return at
    if (char === '\\') at = checkEscape(source, at, '"', report).end
  }
}

/** Where a back-quoted string ends. */
export function readRawString(source: string, offset: number, report: Report): number {
  const end = source.indexOf('`', offset + 1)
  if (end >= 0) return end + 1
  report('raw string literal not terminated', offset)
  return source.length
}

/** Where a rune literal ends. */
export function readRune(source: string, offset: number, report: Report): number {
  let at = offset + 1
  let valid = true
  for (let count = 0; ; count++) {
    const code = source.codePointAt(at)
    if (code === undefined || code === 10) {
      if (valid) report('rune literal not terminated', offset)
      return at
    }
    at += code > 0xffff ? 2 : 1
    if (code === 39) {
      if (valid && count !== 1) report('illegal rune literal', offset)
      return at
    }
    if (code === 92) {
      const escape = checkEscape(source, at, "'", report)
      valid &&= escape.ok
      at = escape.end
    }
  }
}

/** Checks the escape whose backslash is just before `at`. */
function checkEscape(source: string, at: number, quote: string, report: Report): { ok: boolean; end: number } {
  const char = source[at]
  const fail = (message: string, where: number, end: number) => {
    report(message, where)
    return { ok: false, end }
  }
  if (char === undefined) return fail('escape sequence not terminated', at - 1, at)
  if (char === quote || char in SIMPLE_ESCAPES) return { ok: true, end: at + 1 }
  const octal = char >= '0' && char <= '7'
  const form = octal ? { digits: 3, base: 8 } : CODE_ESCAPES[char]
  if (form === undefined) return fail('unknown escape sequence', at - 1, at)
  const from = octal ? at : at + 1
  let value = 0
  for (let i = from; i < from + form.digits; i++) {
    const digit = Number.parseInt(source[i] ?? '', form.base)
    if (Number.isNaN(digit)) {
      if (source[i] === undefined) return fail('escape sequence not terminated', at - 1, i)
      const code = (source.codePointAt(i) ?? 0).toString(16).toUpperCase().padStart(4, '0')
      return fail(`illegal character U+${code} '${source[i]}' in escape sequence`, i, i)
    }
    value = value * form.base + digit
  }
  const limit = octal || char === 'x' ? 255 : 0x10ffff
  if (value > limit || (value >= 0xd800 && value < 0xe000)) {
    return fail('escape sequence is invalid Unicode code point', at - 1, from + form.digits)
  }
  return { ok: true, end: from + form.digits }
}

/**
 * What a Go string or rune literal stands for (`strconv.Unquote`).
 * @returns `undefined` where the text is not exactly one such literal.
 */
export function unquote(text: string): string | undefined {
  const quote = text[0]
  if (text.length < 2 || quote !== text.at(-1)) return undefined
  const body = text.slice(1, -1)
  if (quote === '`') return body.includes('`') ? undefined : body.replaceAll('\r', '')
  if ((quote !== '"' && quote !== "'") || body.includes('\n')) return undefined
  const errors: string[] = []
  const end = (quote === '"' ? readQuoted : readRune)(text, 0, (message) => errors.push(message))
  if (errors.length > 0 || end !== text.length) return undefined
  return body.includes('\\') ? unescape(body) : body
}

/** Resolves the (already checked) escapes; `\x` and octal escapes are bytes, so the result is put together as UTF-8. */
function unescape(body: string): string {
  const bytes: number[] = []
  for (let at = 0; at < body.length; ) {
    if (body[at] !== '\\') {
      const next = body.indexOf('\\', at)
      const stop = next < 0 ? body.length : next
      for (const byte of Buffer.from(body.slice(at, stop))) bytes.push(byte)
      at = stop
      continue
    }
    const char = body[at + 1] ?? ''
    const simple = SIMPLE_ESCAPES[char]
    const form = CODE_ESCAPES[char]
    if (simple !== undefined || char === '"' || char === "'") {
      bytes.push(simple ?? char.charCodeAt(0))
      at += 2
    } else if (form === undefined) {
      bytes.push(Number.parseInt(body.slice(at + 1, at + 4), 8))
      at += 4
    } else {
      const code = Number.parseInt(body.slice(at + 2, at + 2 + form.digits), form.base)
      if (char === 'x') bytes.push(code)
      else for (const byte of Buffer.from(String.fromCodePoint(code))) bytes.push(byte)
      at += 2 + form.digits
    }
  }
  return Buffer.from(bytes).toString()
}
