// As much of Envoy's expressions (CEL) as records are read by: lists, attributes, whether one is there, and choices by that.

type Value = Buffer | readonly Buffer[] | undefined
/** What an expression comes to; `undefined` where Envoy would say an error. */
export type Evaluate = (read: (name: string) => Buffer | undefined) => Value

const TOKEN = /\s*(?<token>[a-z_][a-z_0-9.]*|''|&&|!=|[?:,()[\]])/y

/** @throws Error where the text is beyond this double */
export function parseExpression(text: string): Evaluate {
  TOKEN.lastIndex = 0
  const tokens: string[] = []
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text)?.groups?.['token']
    if (token === undefined) throw new Error(`an expression that is not understood: ${text}`)
    tokens.push(token)
  }
  const parser = new Parser(tokens)
  const evaluate = parser.choice()
  parser.expect(undefined)
  return evaluate
}

class Parser {
  readonly #tokens: readonly string[]
  #at = 0

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
  }

  expect(token: string | undefined): void {
    const found = this.#next()
    if (found !== token)
      throw new Error(`${token ?? 'the end'} is expected in an expression, not ${found ?? 'its end'}`)
  }

  #next(): string | undefined {
    return this.#tokens[this.#at++]
  }

  #skip(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false
    this.#at++
    return true
  }

  choice(): Evaluate {
    if (!this.#skip('has')) return this.#value()
    this.expect('(')
    const name = this.#next() ?? ''
    this.expect(')')
    const isFull = this.#skip('&&')
    if (isFull) for (const token of [name, '!=', "''"]) this.expect(token)
    this.expect('?')
    const given = this.choice()
    this.expect(':')
    const otherwise = this.choice()
    return (read) => {
      const value = read(name)
      return value === undefined || (isFull && value.length === 0) ? otherwise(read) : given(read)
    }
  }

  #value(): Evaluate {
    if (this.#skip('(')) {
      const inner = this.choice()
      this.expect(')')
      return inner
    }
    if (this.#skip('[')) return this.#list()
    const name = this.#next() ?? ''
    return name === "''" ? () => Buffer.of() : (read) => read(name)
  }

  #list(): Evaluate {
    const elements: Evaluate[] = []
    do elements.push(this.choice())
    while (this.#skip(','))
    this.expect(']')
    return (read) => {
      const values: Buffer[] = []
      for (const element of elements) {
        const value = element(read)
        if (!(value instanceof Buffer)) return undefined
        values.push(value)
      }
      return values
    }
  }
}
