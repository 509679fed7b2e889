// A header map as Envoy has it. Names and values are byte strings (one character a byte), as they are on the wire.

import { HostViolation } from './abi.ts'

/** Name and value. */
export type HeaderLine = readonly [name: string, value: string]

/** Of these Envoy keeps one entry, to which a further line is appended (envoy/http/header_map.h). */
const INLINE = new Set([
  ':authority',
  ':method',
  ':path',
  ':protocol',
  ':scheme',
  ':status',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'grpc-timeout',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-request-id',
])

export class HeaderLines {
  #lines: HeaderLine[] = []

  readonly #isRequest: boolean

  constructor(lines: Iterable<HeaderLine>, isRequest = false) {
    this.#isRequest = isRequest
    for (const [name, value] of lines) this.add(name, value)
  }

  get lines(): readonly HeaderLine[] {
    return this.#lines
  }

  /** The first value only, as the ABI gives it. */
  get(given: string): string | undefined {
    const name = this.#nameOf(given)
    return this.#lines.find((line) => line[0] === name)?.[1]
  }

  all(given: string): readonly string[] {
    const name = this.#nameOf(given)
    return this.#lines.filter((line) => line[0] === name).map(([, value]) => value)
  }

  add(given: string, value: string): void {
    const name = this.#nameOf(given)
    check(name, value)
    const at = INLINE.has(name) ? this.#lines.findIndex((line) => line[0] === name) : -1
    const known = this.#lines[at]
    if (known === undefined) this.#lines.push([name, value])
    else this.#lines[at] = [name, known[1] === '' ? value : `${known[1]},${value}`]
  }

  /** Sets the first line, and takes away the others. */
  replace(given: string, value: string): void {
    const name = this.#nameOf(given)
    check(name, value)
    const at = this.#lines.findIndex((line) => line[0] === name)
    if (at < 0) this.#lines.push([name, value])
    else
      this.#lines = this.#lines
        .map((line, i): HeaderLine => (i === at ? [name, value] : line))
        .filter((line, i) => i === at || line[0] !== name)
  }

  remove(given: string): void {
    const name = this.#nameOf(given)
    this.#lines = this.#lines.filter((line) => line[0] !== name)
  }

  set(lines: Iterable<HeaderLine>): void {
    this.#lines = []
    for (const [name, value] of lines) this.add(name, value)
  }

  /** Lower case, and in requests `:authority` for what HTTP/1 calls `host`: Envoy has one entry for both. */
  #nameOf(given: string): string {
    const name = given.toLowerCase()
    return name === 'host' && this.#isRequest ? ':authority' : name
  }

  get byteSize(): number {
    return this.#lines.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  }
}

/** Envoy takes these for right without looking. */
function check(name: string, value: string): void {
  if (name === '') throw new HostViolation('a header without a name')
  // oxlint-disable-next-line no-control-regex
  if (/[\0\r\n]/.test(name + value)) throw new HostViolation(`the header ${JSON.stringify([name, value])} splits lines`)
}
