// From CEXL source to a compiled expression.

import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { type CompileOptions, type CompileResult, EvaluationError } from '../compiled.ts'
import type { Evaluate } from '../evaluate.ts'
import { SourceError } from '../source-error.ts'
import { budgeted, DEFAULT_MAX_STEPS, setRemainingSteps } from '../steps.ts'
import { equalityTermsOf, referencesOf } from './analysis.ts'
import type { Node } from './ast.ts'
import { checkCexl } from './check.ts'
import { cexlDoubts } from './doubts.ts'
import { generate, takesSteps } from './generate.ts'
import type { Apply } from './operations.ts'
import { parseCexl } from './parse.ts'
import { CEXL_SIGNATURES, type Signature } from './signatures.ts'
import { cexlTextTerms } from './text-terms.ts'

/** A function beside CEXL's own, or instead of one of them. */
export interface ExtraFunction {
  readonly signature: Signature
  readonly apply: Apply
}

/** Types whose equality is identity, so that an index over values can answer it. */
const INDEXABLE: ReadonlySet<ValueType | undefined> = new Set(['STRING', 'INT64', 'BOOL', 'DOUBLE'])

/** Compiles CEXL against a vocabulary. The first problem is the one that Mixer reports. */
export function compileCexl(
  source: string,
  options: Omit<CompileOptions, 'dialect'>,
  extra: ReadonlyMap<string, ExtraFunction> = new Map(),
): CompileResult {
  try {
    return compile(source, options, extra)
  } catch (error) {
    if (!(error instanceof SourceError)) throw error
    const { message, start, end } = error
    return { ok: false, problems: [{ message, column: start + 1, length: Math.max(1, end - start) }] }
  }
}

function compile(
  source: string,
  { vocabulary, maxSteps = DEFAULT_MAX_STEPS }: Omit<CompileOptions, 'dialect'>,
  extra: ReadonlyMap<string, ExtraFunction>,
): CompileResult {
  setRemainingSteps(maxSteps)
  const root = parseCexl(source)
  const signatures = new Map([
    ...CEXL_SIGNATURES,
    ...[...extra].map(([name, { signature }]) => [name, signature] as const),
  ])
  const { types, problems } = checkCexl(root, vocabulary, signatures)
  const type = types.get(root)
  if (problems.length > 0 || type === undefined) return { ok: false, problems }
  const typeOf = (attribute: string) => vocabulary.get(attribute)
  const functions = new Map([...extra].map(([name, { apply }]) => [name, apply]))
  const options = { source, types, typeOf, functions, predicates: true, maxSteps }
  const references = referencesOf(root)
  const plain = generate(root, options)
  const evaluate = takesSteps(root) ? budgeted(plain, maxSteps) : plain
  const constantOf = (node: Node) => {
    return INDEXABLE.has(types.get(node)) ? constantValue(node, generate(node, options)) : undefined
  }
  return {
    ok: true,
    expression: {
      source,
      dialect: 'CEXL',
      type,
      constant: constantValue(root, evaluate),
      references,
      equalityTerms: equalityTermsOf(root, constantOf),
      textTerms: cexlTextTerms(root, typeOf),
      doubts: cexlDoubts(root, options),
      evaluate,
    },
  }
}

function constantValue(node: Node, evaluate: Evaluate): AttributeValue | undefined {
  if (referencesOf(node).length > 0) return undefined
  const value = evaluate(EMPTY_BAG, undefined)
  return value instanceof EvaluationError ? undefined : value
}
