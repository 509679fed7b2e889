// Compiles the expressions of a config: each distinct one once, each mistake shown at its character in the file.

import type { CompiledExpression, Dialect } from '../expression/compiled.ts'
import { compileExpression } from '../expression/compile.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { RATE_LIMIT_ATTRIBUTES } from '../kernel/rate-limit-attributes.ts'
import { suggest } from '../kernel/suggest.ts'
import type { ValueType } from '../kernel/value.ts'
import type { ConfigNode, ScalarNode } from './config-node.ts'
import type { ProblemList } from './problem-list.ts'
import { unknownAttribute } from './unknown-attribute.ts'

export interface ExpressionUse {
  readonly dialect: Dialect
  /** The type that the place demands; any where it is left out. */
  readonly expected?: ValueType | undefined
  /** Where other names than the config's attributes can be read. */
  readonly vocabulary?: Vocabulary
  /** Turns names that stand for others back, in messages. */
  readonly reword?: (message: string) => string
}

/** Compiles expressions against the config's vocabulary. */
export class ExpressionSet {
  readonly vocabulary: Vocabulary
  readonly #maxSteps: number
  readonly #problems: ProblemList
  readonly #compiled = new Map<string, CompiledExpression>()
  #earlier: ReadonlyMap<string, CompiledExpression> | undefined

  /**
   * Each expression may take `maxSteps` in an evaluation. `earlier` holds the expressions of an earlier config under the
   * same vocabulary, which need not be compiled again.
   */
  constructor(vocabulary: Vocabulary, maxSteps: number, problems: ProblemList, earlier?: ExpressionSet) {
    this.vocabulary = vocabulary
    this.#maxSteps = maxSteps
    this.#problems = problems
    this.#earlier = earlier?.compiled()
  }

  /** What was compiled, and nothing earlier, which is let go of: this set is complete. */
  compiled(): ReadonlyMap<string, CompiledExpression> {
    this.#earlier = undefined
    return this.#compiled
  }

  /** Compiles the text of a scalar. @returns `undefined` after reporting every problem. */
  compile(node: ConfigNode, use: ExpressionUse): CompiledExpression | undefined {
    if (node.kind !== 'scalar') {
      this.#problems.error(node, 'wrong-type', `this must be an expression (a text), not a ${node.kind}.`)
      return undefined
    }
    const expression = this.#compile(node, node.text, use)
    if (expression === undefined) return undefined
    for (const { kind, column, message } of expression.doubts) {
      if (kind !== 'always-fails') continue
      this.#problems.within('error', node, column - 1, kind, `${use.reword?.(message) ?? message}.`)
    }
    if (use.expected === undefined || expression.type === use.expected) return expression
    const message = `this must be of type ${use.expected}, but the expression is of type ${expression.type}.`
    this.#problems.error(node, 'type-mismatch', message)
    return undefined
  }

  #compile(node: ScalarNode, source: string, use: ExpressionUse): CompiledExpression | undefined {
    const vocabulary = use.vocabulary ?? this.vocabulary
    const shared = use.vocabulary === undefined
    const key = `${use.dialect} ${source}`
    const known = shared ? (this.#compiled.get(key) ?? this.#earlier?.get(key)) : undefined
    if (known !== undefined) {
      this.#compiled.set(key, known)
      return known
    }
    const result = compileExpression(source, { dialect: use.dialect, vocabulary, maxSteps: this.#maxSteps })
    if (result.ok) {
      if (shared) this.#compiled.set(key, result.expression)
      return result.expression
    }
    for (const problem of result.problems) {
      const unknown = unknownAttribute(source, problem)
      const text =
        unknown === undefined
          ? `${problem.message.replace(/\.$/, '')}.`
          : `unknown attribute "${unknown.name}".${this.#attributeHint(unknown.name, vocabulary)}`
      const code = unknown === undefined ? 'invalid-expression' : 'unknown-attribute'
      this.#problems.within('error', node, unknown?.index ?? problem.column - 1, code, use.reword?.(text) ?? text)
    }
    return undefined
  }

  #attributeHint(name: string, vocabulary: Vocabulary): string {
    if (vocabulary.size <= RATE_LIMIT_ATTRIBUTES.size) return ' No attributemanifest declares any attribute.'
    const hint = suggest(name, vocabulary.keys()).replace(/ Known: .*$/, '')
    return hint === '' ? ' No attributemanifest declares it.' : hint
  }
}

/** Names and types of the attributes that an expression depends on, for digests. */
export function referencedTypes(expression: CompiledExpression, vocabulary: Vocabulary): readonly string[] {
  return expression.references.map(({ attribute }) => `${attribute}:${vocabulary.get(attribute) ?? ''}`)
}
