// The signatures of what a WebAssembly module imports and exports, from its bytes: JavaScript's API does not tell them.

import type { Signature } from './abi.ts'

export interface ModuleSignatures {
  /** By `module.name`. */
  readonly imports: ReadonlyMap<string, Signature>
  readonly exports: ReadonlyMap<string, Signature>
}

const SECTION = { TYPE: 1, IMPORT: 2, FUNCTION: 3, EXPORT: 7 } as const
const FUNCTION_KIND = 0
const LETTERS = new Map([
  [0x7f, 'i'],
  [0x7e, 'I'],
  [0x7d, 'f'],
  [0x7c, 'F'],
])

/** @throws Error where an import is no function: Envoy offers nothing else */
export function moduleSignatures(bytes: Uint8Array): ModuleSignatures {
  const reader = new ModuleReader(bytes)
  const types: Signature[] = []
  /** The type of each function, imported ones first. */
  const functions: number[] = []
  const imports = new Map<string, Signature>()
  const exports = new Map<string, Signature>()
  const signature = (type: number | undefined) => types[type ?? -1] ?? '?'
  for (let section = reader.section(); section !== undefined; section = reader.section()) {
    const { id, end } = section
    if (id === SECTION.TYPE) reader.each(() => types.push(reader.type()))
    else if (id === SECTION.FUNCTION) reader.each(() => functions.push(reader.number()))
    else if (id === SECTION.IMPORT) {
      reader.each(() => {
        const name = `${reader.text()}.${reader.text()}`
        if (reader.byte() !== FUNCTION_KIND) throw new Error(`the import ${name} is no function`)
        const type = reader.number()
        functions.push(type)
        imports.set(name, signature(type))
      })
    } else if (id === SECTION.EXPORT) {
      reader.each(() => {
        const name = reader.text()
        const kind = reader.byte()
        const index = reader.number()
        if (kind === FUNCTION_KIND) exports.set(name, signature(functions[index]))
      })
    }
    reader.at = end
  }
  return { imports, exports }
}

class ModuleReader {
  readonly #bytes: Uint8Array
  /** Behind the magic number and the version. */
  at = 8

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  section(): { readonly id: number; readonly end: number } | undefined {
    if (this.at >= this.#bytes.length) return undefined
    const id = this.byte()
    const size = this.number()
    return { id, end: this.at + size }
  }

  each(read: () => void): void {
    for (let left = this.number(); left > 0; left--) read()
  }

  type(): Signature {
    this.byte()
    return `${this.#valueTypes()}:${this.#valueTypes()}`
  }

  #valueTypes(): string {
    let letters = ''
    this.each(() => {
      letters += LETTERS.get(this.byte()) ?? '?'
    })
    return letters
  }

  text(): string {
    const length = this.number()
    this.at += length
    return Buffer.from(this.#bytes.subarray(this.at - length, this.at)).toString('utf8')
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0
  }

  /** An unsigned LEB128 of 32 bits. */
  number(): number {
    let result = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      result |= (byte & 0x7f) << shift
      if (byte < 0x80) return result >>> 0
    }
  }
}
