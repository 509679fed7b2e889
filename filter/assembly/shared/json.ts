// Reads JSON (RFC 8259): the settings of the filter are in it.

export const enum Json {
  NULL = 0,
  BOOLEAN = 1,
  NUMBER = 2,
  TEXT = 3,
  LIST = 4,
  OBJECT = 5,
}

export class JsonValue {
  /** Of a text; and of a number as it is written. */
  text: string = ''
  number: f64 = 0
  /** Names of an object's entries. */
  readonly names: Array<string> = []
  readonly items: Array<JsonValue> = []

  constructor(readonly kind: i32) {}

  /** An entry of an object; the last one of several with one name. */
  get(name: string): JsonValue | null {
    const at = this.names.lastIndexOf(name)
    return at < 0 ? null : this.items[at]
  }
}

const MAX_DEPTH = 16

export class JsonReader {
  private at: i32 = 0
  private text: string = ''
  /** What is wrong with the text, and where. */
  problem: string = ''

  /** @returns `null` for what is no JSON; `problem` says why */
  read(text: string): JsonValue | null {
    this.text = text
    this.at = 0
    this.problem = ''
    const value = this.value(MAX_DEPTH)
    this.space()
    if (this.problem === '' && this.at < text.length) this.fail('nothing may follow the value')
    return this.problem === '' ? value : null
  }

  private fail(what: string): JsonValue {
    if (this.problem === '') this.problem = 'at character ' + (this.at + 1).toString() + ': ' + what
    return new JsonValue(Json.NULL)
  }

  private code(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : -1
  }

  private space(): void {
    for (let code = this.code(); code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09; code = this.code())
      this.at++
  }

  private takes(text: string): bool {
    if (this.text.substr(this.at, text.length) !== text) return false
    this.at += text.length
    return true
  }

  private value(depth: i32): JsonValue {
    if (depth === 0) return this.fail('too deep')
    this.space()
    if (this.takes('{')) return this.object(depth)
    if (this.takes('[')) return this.list(depth)
    if (this.code() === 0x22) {
      const value = new JsonValue(Json.TEXT)
      value.text = this.string()
      return value
    }
    if (this.takes('null')) return new JsonValue(Json.NULL)
    const isTrue = this.takes('true')
    if (isTrue || this.takes('false')) {
      const value = new JsonValue(Json.BOOLEAN)
      value.number = isTrue ? 1 : 0
      return value
    }
    return this.numeral()
  }

  private object(depth: i32): JsonValue {
    const value = new JsonValue(Json.OBJECT)
    this.space()
    if (this.takes('}')) return value
    do {
      this.space()
      if (this.code() !== 0x22) return this.fail('a name in quotes must be here')
      value.names.push(this.string())
      this.space()
      if (!this.takes(':')) return this.fail('a colon must be here')
      value.items.push(this.value(depth - 1))
      this.space()
    } while (this.problem === '' && this.takes(','))
    return this.problem !== '' || this.takes('}') ? value : this.fail('a comma or } must be here')
  }

  private list(depth: i32): JsonValue {
    const value = new JsonValue(Json.LIST)
    this.space()
    if (this.takes(']')) return value
    do {
      value.items.push(this.value(depth - 1))
      this.space()
    } while (this.problem === '' && this.takes(','))
    return this.problem !== '' || this.takes(']') ? value : this.fail('a comma or ] must be here')
  }

  private string(): string {
    let text = ''
    this.at++
    for (let code = this.code(); code !== 0x22; code = this.code()) {
      if (code < 0x20) {
        this.fail('a text must end in quotes')
        return text
      }
      this.at++
      text += code === 0x5c ? this.escaped() : String.fromCharCode(code)
    }
    this.at++
    return text
  }

  private escaped(): string {
    const code = this.code()
    this.at++
    switch (code) {
      case 0x22:
      case 0x5c:
      case 0x2f:
        return String.fromCharCode(code)
      case 0x62:
        return '\b'
      case 0x66:
        return '\f'
      case 0x6e:
        return '\n'
      case 0x72:
        return '\r'
      case 0x74:
        return '\t'
      case 0x75: {
        const digits = this.text.substr(this.at, 4)
        this.at += 4
        const unit = <i32>parseInt(digits, 16)
        if (digits.length === 4 && !isNaN(parseInt(digits, 16))) return String.fromCharCode(unit)
        break
      }
    }
    this.fail('an escape that JSON does not have')
    return ''
  }

  private numeral(): JsonValue {
    const from = this.at
    for (let code = this.code(); isNumeral(code); code = this.code()) this.at++
    const value = new JsonValue(Json.NUMBER)
    value.text = this.text.substring(from, this.at)
    value.number = from === this.at ? NaN : parseFloat(value.text)
    return isNaN(value.number) ? this.fail('a value must be here') : value
  }
}

function isNumeral(code: i32): bool {
  return (
    (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2b || code === 0x2e || code === 0x65 || code === 0x45
  )
}
