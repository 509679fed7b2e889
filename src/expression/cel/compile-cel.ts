import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { CompileResult } from '../compiled.ts'

export function compileCel(source: string, _vocabulary: Vocabulary): CompileResult {
  return { ok: false, problems: [{ message: 'CEL', column: 1, length: source.length }] }
}
