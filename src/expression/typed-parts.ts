// The types of all parts of an expression, for explaining it to people.

import { celParts, type TypedPart } from './cel/typed-parts.ts'
import { checkCexl } from './cexl/check.ts'
import { parseCexl } from './cexl/parse.ts'
import { CEXL_SIGNATURES } from './cexl/signatures.ts'
import type { CompileOptions } from './compiled.ts'

/** The parts of an expression that compiles, each place once, in the order of the source and the larger part first. */
export function typedParts(source: string, { dialect, vocabulary }: CompileOptions): readonly TypedPart[] {
  const parts = dialect === 'CEL' ? celParts(source, vocabulary) : cexlParts(source, vocabulary)
  const places = new Map(parts.map((part) => [`${part.start} ${part.end}`, part]))
  return [...places.values()].sort((a, b) => a.start - b.start || b.end - a.end)
}

function cexlParts(source: string, vocabulary: CompileOptions['vocabulary']): readonly TypedPart[] {
  const { types } = checkCexl(parseCexl(source), vocabulary, CEXL_SIGNATURES)
  return Array.from(types, ([{ start, end }, type]) => ({ start, end, type }))
}
