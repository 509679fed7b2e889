// Cuts CEXL source into the tokens of Go's scanner: CEXL is parsed with Go's expression grammar, so quotes, comments,
// numbers, keywords and inserted semicolons follow Go, its error texts included.

import { isLetter, readNumber, readQuoted, readRawString, readRune } from './literal-scanner.ts'

/** `text` is the source text; operators and keywords have it as their kind too. */
export interface Token {
  readonly kind: string
  readonly text: string
  readonly start: number
  readonly end: number
}

/** A lexical error. `token` is the index of the token that was being read. */
export interface ScanError {
  readonly message: string
  readonly offset: number
  readonly token: number
}

export interface ScanResult {
  readonly tokens: readonly Token[]
  readonly errors: readonly ScanError[]
}

const KEYWORDS = new Set(
  (
    'break case chan const continue default defer else fallthrough for func go goto if import interface map package ' +
    'range return select struct switch type var'
  ).split(' '),
)

/** Longest first, so that the first match is the right one. */
const OPERATORS =
  '<<= >>= &^= ... && || <- ++ -- == != <= >= := += -= *= /= %= &= |= ^= << >> &^ + - * / % & | ^ < > = ! ( ) [ ] { } , ; . :'.split(
    ' ',
  )

const ENDS_OPERAND = new Set(
  'IDENT INT FLOAT IMAG CHAR STRING break continue fallthrough return ++ -- ) ] }'.split(' '),
)

/** Kinds whose text, not whose kind, is shown in messages. */
export const LITERAL_KINDS: ReadonlySet<string> = new Set(['IDENT', 'INT', 'FLOAT', 'IMAG', 'CHAR', 'STRING'])

/** Scans the whole source. The last token has kind `EOF`; a semicolon inserted for a line end has the text `\n`. */
export function scan(source: string): ScanResult {
  const tokens: Token[] = []
  const errors: ScanError[] = []
  let offset = 0
  let semicolon = false
  const push = (kind: string, end: number, text = source.slice(offset, end)) => {
    tokens.push({ kind, text, start: offset, end })
    semicolon = ENDS_OPERAND.has(kind)
    offset = end
  }
  const report = (message: string, at: number) => errors.push({ message, offset: at, token: tokens.length })
  for (;;) {
    while (offset < source.length && isBlank(source, offset, semicolon)) offset++
    if (offset >= source.length) break
    const comment = readComment(source, offset, report)
    if (comment !== undefined) {
      if (comment.line && semicolon) {
        push(';', offset, '\n')
      }
      offset = comment.end
      continue
    }
    if (source[offset] === '\n') {
      push(';', offset + 1, '\n')
      continue
    }
    readToken(source, offset, push, report)
  }
  if (semicolon) push(';', offset, '\n')
  push('EOF', offset, '')
  return { tokens, errors }
}

function isBlank(source: string, offset: number, semicolon: boolean): boolean {
  const char = source[offset]
  return char === ' ' || char === '\t' || char === '\r' || (char === '\n' && !semicolon)
}

type Report = (message: string, at: number) => void

function readComment(source: string, offset: number, report: Report): { end: number; line: boolean } | undefined {
  if (source.startsWith('//', offset)) {
    const end = source.indexOf('\n', offset)
    return { end: end < 0 ? source.length : end, line: true }
  }
  if (!source.startsWith('/*', offset)) return undefined
  const end = source.indexOf('*/', offset + 2)
  if (end < 0) report('comment not terminated', offset)
  const stop = end < 0 ? source.length : end + 2
  return { end: stop, line: source.slice(offset, stop).includes('\n') }
}

function readToken(source: string, offset: number, push: (kind: string, end: number) => void, report: Report): void {
  const char = String.fromCodePoint(source.codePointAt(offset) ?? 0)
  if (source.startsWith('$out', offset) && !isWordPart(source, offset + 4)) return push('IDENT', offset + 4)
  if (isLetter(char)) {
    let end = offset + char.length
    while (isWordPart(source, end)) end += (source.codePointAt(end) ?? 0) > 0xffff ? 2 : 1
    const word = source.slice(offset, end)
    return push(KEYWORDS.has(word) ? word : 'IDENT', end)
  }
  if (/\d/.test(char) || (char === '.' && /[0-9]/.test(source[offset + 1] ?? ''))) {
    const number = readNumber(source, offset, report)
    return push(number.kind, number.end)
  }
  if (char === '"') return push('STRING', readQuoted(source, offset, report))
  if (char === '`') return push('STRING', readRawString(source, offset, report))
  if (char === "'") return push('CHAR', readRune(source, offset, report))
  const operator = OPERATORS.find((candidate) => source.startsWith(candidate, offset))
  if (operator !== undefined) return push(operator, offset + operator.length)
  const code = (source.codePointAt(offset) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  report(`illegal character U+${code}${/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char) ? ` '${char}'` : ''}`, offset)
  push('ILLEGAL', offset + char.length)
}

function isWordPart(source: string, offset: number): boolean {
  const code = source.codePointAt(offset)
  if (code === undefined) return false
  const char = String.fromCodePoint(code)
  return isLetter(char) || /\p{Nd}/u.test(char)
}
