// Attribute bindings of generator instances: attribute ← expression over the generator's output (`$out.*`) and the bag.

import type { TemplateDefinition } from '../adapter-kit/template.ts'
import { type CompiledExpression, type Dialect, EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { IntermixError } from '../kernel/errors.ts'
import { type ReadLog, RequestReads } from '../kernel/read-log.ts'
import { suggest } from '../kernel/suggest.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { CompileContext } from './compile-context.ts'
import type { ConfigNode, MapNode } from './config-node.ts'
import { snakeCase } from './fields.ts'
import type { OutputNames } from './snapshot.ts'

const OUTPUT = '$out.'
/** How Mixer's dynamic templates call the same thing. */
const DYNAMIC = 'output.'
const OUTPUT_OR_TEXT = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\$out\./g

/** The names under which bindings see what a template puts out. */
export function outputNames({ output = {} }: TemplateDefinition): OutputNames {
  const byField = new Map(Object.keys(output).map((field) => [field, OUTPUT + snakeCase(field)]))
  return { byField, names: new Set(byField.values()) }
}

/**
 * Compiles `attributeBindings`. The bag that bindings are evaluated against holds the output under its `OutputNames`. In
 * a binding the name of an output is never an attribute's, and every other name always is, whatever it begins with.
 */
export function compileBindings(
  node: MapNode,
  template: TemplateDefinition,
  dialect: Dialect,
  { problems, expressions }: CompileContext,
): ReadonlyMap<string, CompiledExpression> {
  const bindings = new Map<string, CompiledExpression>()
  if (template.output === undefined) {
    const message = `the template "${template.name}" puts nothing out, so there is nothing to bind: remove it.`
    problems.error(node, 'no-output', message)
    return bindings
  }
  const prefix = freePrefix(node, expressions.vocabulary)
  const aliases = new Map<string, string>()
  const vocabulary = new Map(expressions.vocabulary)
  for (const [field, type] of Object.entries(template.output)) {
    for (const before of [prefix, DYNAMIC]) {
      aliases.set(before + snakeCase(field), OUTPUT + snakeCase(field))
      vocabulary.set(before + snakeCase(field), type)
    }
  }
  const reword = (message: string) => message.replaceAll(prefix, OUTPUT)
  for (const { key, keyNode, value } of node.entries) {
    const expected = expressions.vocabulary.get(key)
    if (expected === undefined) {
      const hint = suggest(key, expressions.vocabulary.keys()).replace(/ Known: .*$/, '')
      problems.error(keyNode, 'unknown-attribute', `unknown attribute "${key}".${hint}`)
      continue
    }
    const expression = expressions.compile(asIdentifiers(value, prefix), { dialect, expected, vocabulary, reword })
    if (expression === undefined || value.kind !== 'scalar') continue
    for (const name of expression.references.map(({ attribute }) => attribute)) {
      if (!aliases.has(name) || !expressions.vocabulary.has(name)) continue
      const message = `"${name}" is the generator's output here, not the attribute of that name: write "${aliases.get(name)}".`
      problems.warn(value, 'ambiguous-output', message)
    }
    bindings.set(key, overOutput(expression, value.text, aliases, reword))
  }
  return bindings
}

/**
 * What the expression parsers see in place of `$out.`: an identifier as long as that, so that columns stay, and one that
 * begins no attribute and stands in no binding.
 */
function freePrefix(node: MapNode, vocabulary: Vocabulary): string {
  const texts = [...vocabulary.keys(), ...node.entries.map(({ value }) => (value.kind === 'scalar' ? value.text : ''))]
  let prefix = '_out.'
  for (let n = 0; texts.some((text) => text.includes(prefix)); n++) prefix = `_${n.toString(36).padStart(3, '0')}.`
  return prefix
}

function asIdentifiers(node: ConfigNode, prefix: string): ConfigNode {
  if (node.kind !== 'scalar') return node
  return { ...node, text: node.text.replaceAll(OUTPUT_OR_TEXT, (found) => (found === OUTPUT ? prefix : found)) }
}

/** The same expression with its aliases turned back. Reads of the output are not logged: they are no request attributes. */
function overOutput(
  expression: CompiledExpression,
  source: string,
  aliases: ReadonlyMap<string, string>,
  reword: (text: string) => string,
): CompiledExpression {
  return Object.freeze({
    source,
    dialect: expression.dialect,
    type: expression.type,
    constant: expression.constant,
    references: expression.references.map((r) => ({ ...r, attribute: aliases.get(r.attribute) ?? r.attribute })),
    equalityTerms: [],
    textTerms: [],
    // What can only fail has been refused; the rest is about the aliases, not about what was written.
    doubts: [],
    evaluate(bag: AttributeBag, log?: ReadLog) {
      const reads = log === undefined ? undefined : new RequestReads(log, aliases)
      const value = expression.evaluate(new AliasBag(bag, aliases), reads)
      // Of what is merely absent nobody is told.
      if (!(value instanceof EvaluationError) || value.kind === 'absent') return value
      const { message, kind, part, cause } = value
      return new EvaluationError(reword(message), kind, part === undefined ? part : reword(part), cause)
    },
  })
}

class AliasBag implements AttributeBag {
  readonly #bag: AttributeBag
  readonly #aliases: ReadonlyMap<string, string>

  constructor(bag: AttributeBag, aliases: ReadonlyMap<string, string>) {
    this.#bag = bag
    this.#aliases = aliases
  }

  get(name: string): AttributeValue | undefined {
    return this.#bag.get(this.#aliases.get(name) ?? name)
  }

  unknown(name: string): IntermixError | undefined {
    return this.#bag.unknown?.(this.#aliases.get(name) ?? name)
  }

  names(): Iterable<string> {
    return this.#bag.names()
  }
}
