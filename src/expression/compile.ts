// The way into the expression languages: source text to a compiled expression, or everything that is wrong with it.

import { compileCel } from './cel/compile-cel.ts'
import { compileCexl } from './cexl/compile-cexl.ts'
import type { CompileOptions, CompileResult } from './compiled.ts'

/** Compiles an expression of either dialect against a vocabulary. Never throws for any source. */
export function compileExpression(source: string, options: CompileOptions): CompileResult {
  return options.dialect === 'CEL' ? compileCel(source, options) : compileCexl(source, options)
}
