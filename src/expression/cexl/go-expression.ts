// Parses the expression grammar of Go, as far as CEXL can use it. What CEXL refuses afterwards (dereferences, slices,
// composite literals, type assertions) is still parsed, as `other`, so that the message is Mixer's.

import { MAX_DEPTH, SourceError } from '../source-error.ts'
import { LITERAL_KINDS, type ScanError, type Token, scan } from './tokens.ts'

interface Span {
  readonly start: number
  readonly end: number
  /** How many levels of nodes there are, this one included. */
  readonly height: number
}

export type GoExpression = Span &
  (
    | { readonly form: 'identifier'; readonly name: string }
    | { readonly form: 'literal'; readonly kind: string; readonly text: string }
    | { readonly form: 'parenthesis'; readonly inner: GoExpression }
    | { readonly form: 'selector'; readonly operand: GoExpression; readonly name: string }
    | { readonly form: 'index'; readonly operand: GoExpression; readonly index: GoExpression }
    | { readonly form: 'call'; readonly callee: GoExpression; readonly args: readonly GoExpression[] }
    | { readonly form: 'unary'; readonly operator: string; readonly operand: GoExpression }
    | { readonly form: 'binary'; readonly operator: string; readonly left: GoExpression; readonly right: GoExpression }
    | { readonly form: 'other' }
  )

const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  ...Object.fromEntries(['==', '!=', '<', '<=', '>', '>='].map((operator) => [operator, 3])),
  ...Object.fromEntries(['+', '-', '|', '^'].map((operator) => [operator, 4])),
  ...Object.fromEntries(['*', '/', '%', '<<', '>>', '&', '&^'].map((operator) => [operator, 5])),
}

const TYPE_KEYWORDS = new Set(['struct', 'func', 'interface', 'map', 'chan', '['])

/** Parses one expression. @throws SourceError whose message is that of Go's parser, position included. */
export function parseGoExpression(source: string): GoExpression {
  const { tokens, errors } = scan(source)
  const parser = new Parser(source, tokens, errors)
  const expression = parser.parse()
  const [first] = errors
  if (first !== undefined) throw combine(source, errors)
  return expression
}

function combine(source: string, errors: readonly { message: string; offset: number }[]): SourceError {
  const sorted = errors.toSorted((a, b) => a.offset - b.offset)
  const [first = { message: '', offset: 0 }] = sorted
  const before = source.slice(0, first.offset)
  const lineStart = before.lastIndexOf('\n') + 1
  const line = before.split('\n').length
  const column = Buffer.byteLength(before.slice(lineStart)) + 1
  const more = sorted.length - 1
  const others = more === 0 ? '' : ` (and ${more} more error${more === 1 ? '' : 's'})`
  const text = `unable to parse expression '${source}': ${line}:${column}: ${first.message}${others}`
  return new SourceError(text, first.offset, first.offset + 1)
}

class Parser {
  readonly #source: string
  readonly #tokens: readonly Token[]
  readonly #scanErrors: readonly ScanError[]
  #at = 0
  #depth = 0

  constructor(source: string, tokens: readonly Token[], scanErrors: readonly ScanError[]) {
    this.#source = source
    this.#tokens = tokens
    this.#scanErrors = scanErrors
  }

  parse(): GoExpression {
    const expression = this.#binary(1)
    if (this.#token.kind === ';' && this.#token.text === '\n') this.#at++
    this.#expect('EOF')
    return expression
  }

  get #token(): Token {
    return this.#tokens[Math.min(this.#at, this.#tokens.length - 1)] as Token
  }

  #binary(lowest: number): GoExpression {
    let left = this.#unary()
    for (;;) {
      const token = this.#token
      const operator = token.kind === '=' ? '==' : token.kind
      const precedence = PRECEDENCE[operator] ?? 0
      if (precedence < lowest) return left
      this.#expect(operator)
      const right = this.#binary(precedence + 1)
      left = { form: 'binary', operator, left, right, ...this.#span(left.start, right.end, left, right) }
    }
  }

  #unary(): GoExpression {
    const { kind, start } = this.#token
    if (!['+', '-', '!', '^', '&', '*', '<-'].includes(kind)) return this.#primary()
    this.#at++
    this.#enter()
    const operand = this.#unary()
    this.#depth--
    const span = this.#span(start, operand.end, operand)
    return kind === '*' ? { form: 'other', ...span } : { form: 'unary', operator: kind, operand, ...span }
  }

  #primary(): GoExpression {
    let left = this.#operand()
    for (;;) {
      const { kind } = this.#token
      if (kind === '.') left = this.#selector(left)
      else if (kind === '[') left = this.#index(left)
      else if (kind === '(') left = this.#call(left)
      else if (kind === '{' && isTypeLike(left)) left = this.#composite(left)
      else return left
    }
  }

  #operand(): GoExpression {
    const { kind, text, start, end } = this.#token
    if (kind === 'IDENT') {
      this.#at++
      return { form: 'identifier', name: text, start, end, height: 1 }
    }
    if (LITERAL_KINDS.has(kind)) {
      this.#at++
      return { form: 'literal', kind, text, start, end, height: 1 }
    }
    if (kind === '(') {
      this.#at++
      this.#enter()
      const inner = this.#binary(1)
      this.#depth--
      const close = this.#expect(')')
      return { form: 'parenthesis', inner, ...this.#span(start, close.end, inner) }
    }
    if (TYPE_KEYWORDS.has(kind)) throw new SourceError(`unexpected expression: ${text}`, start, end)
    return this.#fail('operand', true)
  }

  #selector(operand: GoExpression): GoExpression {
    this.#at++
    const { kind, text, end } = this.#token
    if (kind === 'IDENT') {
      this.#at++
      return { form: 'selector', operand, name: text, ...this.#span(operand.start, end, operand) }
    }
    if (kind !== '(') this.#fail('selector or type assertion', false)
    this.#at++
    if (this.#token.kind === 'type') this.#at++
    else this.#binary(1)
    return { form: 'other', ...this.#span(operand.start, this.#expect(')').end, operand) }
  }

  #index(operand: GoExpression): GoExpression {
    this.#at++
    this.#enter()
    const index = this.#token.kind === ':' ? undefined : this.#binary(1)
    let slice = false
    while (this.#token.kind === ':') {
      slice = true
      this.#at++
      if (this.#token.kind !== ':' && this.#token.kind !== ']' && this.#token.kind !== 'EOF') this.#binary(1)
    }
    this.#depth--
    const { end } = this.#expect(']')
    if (slice || index === undefined) return { form: 'other', ...this.#span(operand.start, end, operand) }
    return { form: 'index', operand, index, ...this.#span(operand.start, end, operand, index) }
  }

  #call(callee: GoExpression): GoExpression {
    this.#at++
    this.#enter()
    const args = this.#list(')', 'argument list')
    this.#depth--
    const { end } = this.#expect(')')
    return { form: 'call', callee, args, ...this.#span(callee.start, end, callee, ...args) }
  }

  #composite(type: GoExpression): GoExpression {
    this.#at++
    this.#enter()
    this.#list('}', 'composite literal')
    this.#depth--
    return { form: 'other', ...this.#span(type.start, this.#expect('}').end, type) }
  }

  #list(close: string, context: string): GoExpression[] {
    const items: GoExpression[] = []
    while (this.#token.kind !== close && this.#token.kind !== 'EOF') {
      items.push(this.#binary(1))
      if (close === '}' && this.#token.kind === ':') {
        this.#at++
        this.#binary(1)
      }
      if (this.#token.kind === '...') this.#at++
      if (this.#token.kind === ',') this.#at++
      else if (this.#token.kind !== close) {
        const newline = this.#token.kind === ';' && this.#token.text === '\n' ? ' before newline' : ''
        this.#report(`missing ','${newline} in ${context}`, false)
      }
    }
    return items
  }

  #expect(kind: string): Token {
    const token = this.#token
    if (token.kind !== kind) this.#fail(`'${kind}'`, false)
    this.#at++
    return token
  }

  #fail(expected: string, skipsToEnd: boolean): never {
    const { kind, text } = this.#token
    const literal = LITERAL_KINDS.has(kind)
    const found = kind === ';' && text === '\n' ? 'newline' : literal ? text : `'${kind}'`
    return this.#report(`expected ${expected}, found ${found}`, skipsToEnd)
  }

  /**
   * Ends parsing at the current token. As in Go, an error on the line of an earlier one is not shown, and the errors
   * of the scanner are those of the tokens that the parser has seen.
   */
  #report(message: string, skipsToEnd: boolean): never {
    const { start, end } = this.#token
    const earlier = this.#scanErrors.filter((error) => error.token <= this.#at).at(-1)
    const seen = skipsToEnd ? this.#scanErrors : this.#scanErrors.filter((error) => error.token <= this.#at + 1)
    const sameLine = earlier !== undefined && !this.#source.slice(earlier.offset, start).includes('\n')
    const error = combine(this.#source, sameLine ? seen : [...seen, { message, offset: start }])
    throw new SourceError(error.message, error.start, error.start === start ? Math.max(end, start + 1) : error.end)
  }

  #span(start: number, end: number, ...children: readonly GoExpression[]): Span {
    const height = 1 + Math.max(...children.map((child) => child.height))
    if (height > MAX_DEPTH) this.#tooDeep()
    return { start, end, height }
  }

  #enter(): void {
    if (++this.#depth > MAX_DEPTH) this.#tooDeep()
  }

  #tooDeep(): never {
    const { start, end } = this.#token
    throw new SourceError(`expression is nested more than ${MAX_DEPTH} levels deep`, start, Math.max(end, start + 1))
  }
}

/** Whether `{` after the expression starts a composite literal. */
function isTypeLike(expression: GoExpression): boolean {
  if (expression.form === 'selector') return expression.operand.form === 'identifier'
  return expression.form === 'identifier'
}
