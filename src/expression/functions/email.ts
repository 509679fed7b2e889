// E-mail addresses as Go's `net/mail` reads them (RFC 5322, one address, comments allowed, no domain literals).

import { EvaluationError } from '../compiled.ts'
import { dnsNameProblem, equalDnsNames } from './dns-name.ts'

interface Address {
  readonly name: string
  readonly local: string
  readonly domain: string
}

/** Validates an address; display names are refused. @returns the text unchanged. */
export function email(text: string): string | EvaluationError {
  const wrong = (reason: string) => new EvaluationError(`error converting '${text}' to e-mail: ${reason}`)
  const address = parseAddress(text)
  if (typeof address === 'string') return wrong(`'${address}'`)
  if (address.name !== '') return wrong('display names are not allowed')
  const { error } = dnsNameProblem(address.domain)
  return error === undefined ? text : wrong(`'${error}'`)
}

/** Whether two addresses are the same: the local part to the letter, the domain as a DNS name. */
export function equalEmails(a: string, b: string): boolean | EvaluationError {
  const left = parseAddress(a)
  if (typeof left === 'string') return new EvaluationError(left)
  const right = parseAddress(b)
  if (typeof right === 'string') return new EvaluationError(right)
  const same = equalDnsNames(left.domain, right.domain)
  if (typeof same !== 'boolean')
    return new EvaluationError(`error comparing e-mails '${a}' and '${b}': ${same.message}`)
  return same && left.local === right.local
}

/** @returns the reason as text where it is not an address. */
function parseAddress(text: string): Address | string {
  try {
    return new AddressParser(text).parse()
  } catch (error) {
    if (error instanceof AddressError) return `mail: ${error.message}`
    throw error
  }
}

class AddressError extends Error {}

const ATOM = /[^\s()<>[\]:;@\\,"\p{Cc}]+/uy
const QUOTED_TEXT = /[\t\u0020-\u007e\u0080-\u{10ffff}]/u

class AddressParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): Address {
    this.#skipSpace()
    if (this.#empty) throw new AddressError('no address')
    const address = this.#bareAddress() ?? this.#namedAddress()
    if (!this.#skipComments()) throw new AddressError('misformatted parenthetical comment')
    if (!this.#empty) {
      throw new AddressError(`expected single address, got ${JSON.stringify(this.#text.slice(this.#at))}`)
    }
    return address
  }

  get #empty(): boolean {
    return this.#at >= this.#text.length
  }

  #peek(): string {
    return this.#text[this.#at] ?? ''
  }

  #bareAddress(): Address | undefined {
    const from = this.#at
    try {
      const address = this.#specification()
      this.#skipSpace()
      if (this.#peek() !== '(') return address
      const start = this.#at + 1
      if (!this.#skipComments()) throw new AddressError('misformatted parenthetical comment')
      return { ...address, name: this.#text.slice(start, this.#text.lastIndexOf(')')).trim() }
    } catch (error) {
      if (!(error instanceof AddressError)) throw error
      this.#at = from
      return undefined
    }
  }

  #namedAddress(): Address {
    const name = this.#peek() === '<' ? '' : this.#phrase()
    this.#skipSpace()
    if (this.#peek() === ':') throw new AddressError('group with multiple addresses')
    if (!this.#consume('<')) {
      const plain = !/[\s()<>[\]:;@\\,"]/.test(name)
      throw new AddressError(plain ? "missing '@' or angle-addr" : 'no angle-addr')
    }
    const address = this.#specification()
    if (!this.#consume('>')) throw new AddressError('unclosed angle-addr')
    return { ...address, name }
  }

  #phrase(): string {
    const words: string[] = []
    for (;;) {
      this.#skipSpace()
      const word = this.#empty ? undefined : this.#word()
      if (word === undefined) break
      words.push(word)
    }
    if (words.length > 0) return words.join(' ')
    throw new AddressError(`missing word in phrase: mail: ${this.#empty ? 'missing phrase' : 'invalid string'}`)
  }

  #word(): string | undefined {
    return this.#peek() === '"' ? this.#quotedString() : this.#rawAtom()
  }

  #specification(): Address {
    this.#skipSpace()
    if (this.#empty) throw new AddressError('no addr-spec')
    const local = this.#peek() === '"' ? this.#quotedString() : this.#atom()
    if (local === '') throw new AddressError('empty quoted string in addr-spec')
    if (!this.#consume('@')) throw new AddressError('missing @ in addr-spec')
    this.#skipSpace()
    if (this.#empty) throw new AddressError('no domain in addr-spec')
    const address = `${local}@${this.#atom()}`
    const split = address.indexOf('@')
    return { name: '', local: address.slice(0, split), domain: address.slice(split + 1) }
  }

  #rawAtom(): string | undefined {
    ATOM.lastIndex = this.#at
    const atom = ATOM.exec(this.#text)?.[0]
    this.#at += atom?.length ?? 0
    return atom
  }

  #atom(): string {
    const atom = this.#rawAtom()
    if (atom === undefined) throw new AddressError('invalid string')
    if (atom.startsWith('.')) throw new AddressError('leading dot in atom')
    if (atom.includes('..')) throw new AddressError('double dot in atom')
    if (atom.endsWith('.')) throw new AddressError('trailing dot in atom')
    return atom
  }

  #quotedString(): string {
    let text = ''
    for (this.#at++; ; this.#at++) {
      let char = this.#peek()
      if (char === '') throw new AddressError('unclosed quoted-string')
      if (char === '"') break
      if (char === '\\') {
        this.#at++
        char = this.#peek()
        if (char === '') throw new AddressError('unclosed quoted-string')
      }
      if (!QUOTED_TEXT.test(char)) throw new AddressError(`bad character in quoted-string: ${JSON.stringify(char)}`)
      text += char
    }
    this.#at++
    return text
  }

  #consume(char: string): boolean {
    if (this.#peek() !== char) return false
    this.#at++
    return true
  }

  #skipSpace(): void {
    while (this.#peek() === ' ' || this.#peek() === '\t') this.#at++
  }

  /** Skips blanks and nested comments; false where a comment does not end. */
  #skipComments(): boolean {
    this.#skipSpace()
    while (this.#peek() === '(') {
      let depth = 0
      do {
        const char = this.#peek()
        if (char === '') return false
        if (char === '\\') this.#at++
        if (char === '(') depth++
        if (char === ')') depth--
        this.#at++
      } while (depth > 0)
      this.#skipSpace()
    }
    return true
  }
}
