// Attribute bindings of generator instances: attribute ← expression over the generator's output (`$out.*`) and the bag.

import type { TemplateDefinition } from '../adapter-kit/templates.ts'
import type { CompiledExpression, Dialect } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'
import type { CompileContext } from './compile-context.ts'
import type { ConfigNode, MapNode } from './config-node.ts'
import { snakeCase } from './fields.ts'
import { suggest } from './suggest.ts'

const OUTPUT = '$out.'
// What the expression parsers see instead: identifiers. The first is as long as what it stands for, so that columns
// stay; the second is how Mixer's dynamic templates call the same thing.
const ALIASES = ['_out.', 'output.'] as const
const OUTPUT_OR_TEXT = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\$out\./g

/** Compiles `attributeBindings`. The bag that bindings are evaluated against holds the output as `$out.<snake_case>`. */
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
  const vocabulary = withOutput(expressions.vocabulary, template.output)
  for (const { key, keyNode, value } of node.entries) {
    const expected = expressions.vocabulary.get(key)
    if (expected === undefined) {
      const hint = suggest(key, expressions.vocabulary.keys()).replace(/ Known: .*$/, '')
      problems.error(keyNode, 'unknown-attribute', `unknown attribute "${key}".${hint}`)
      continue
    }
    const expression = expressions.compile(asIdentifiers(value), { dialect, expected, vocabulary, reword })
    if (expression !== undefined) bindings.set(key, overOutput(expression, value.kind === 'scalar' ? value.text : ''))
  }
  return bindings
}

function withOutput(
  vocabulary: ReadonlyMap<string, ValueType>,
  output: Readonly<Record<string, ValueType>>,
): ReadonlyMap<string, ValueType> {
  const names = Object.entries(output).flatMap(([field, type]) =>
    ALIASES.map((alias): [string, ValueType] => [alias + snakeCase(field), type]),
  )
  return new Map([...vocabulary, ...names])
}

function reword(message: string): string {
  return message.replaceAll(ALIASES[0], OUTPUT)
}

function asIdentifiers(node: ConfigNode): ConfigNode {
  if (node.kind !== 'scalar') return node
  return { ...node, text: node.text.replaceAll(OUTPUT_OR_TEXT, (found) => (found === OUTPUT ? ALIASES[0] : found)) }
}

/** The same expression with its aliases turned back. Reads of the output are not logged: they are no request attributes. */
function overOutput(expression: CompiledExpression, source: string): CompiledExpression {
  const references = expression.references.map((r) => ({ ...r, attribute: toOutput(r.attribute) ?? r.attribute }))
  return Object.freeze({
    source,
    dialect: expression.dialect,
    type: expression.type,
    constant: expression.constant,
    references,
    equalityTerms: [],
    evaluate: (bag: AttributeBag, log?: ReadLog) =>
      expression.evaluate(new AliasBag(bag), log === undefined ? undefined : withoutOutput(log)),
  })
}

function toOutput(name: string): string | undefined {
  const alias = ALIASES.find((prefix) => name.startsWith(prefix))
  return alias === undefined ? undefined : OUTPUT + name.slice(alias.length)
}

class AliasBag implements AttributeBag {
  readonly #bag: AttributeBag

  constructor(bag: AttributeBag) {
    this.#bag = bag
  }

  get(name: string): AttributeValue | undefined {
    return this.#bag.get(toOutput(name) ?? name)
  }

  names(): Iterable<string> {
    return this.#bag.names()
  }
}

function withoutOutput(log: ReadLog): ReadLog {
  const isInput = (name: string) => toOutput(name) === undefined
  return {
    attribute: (name, value) => isInput(name) && log.attribute(name, value),
    mapKey: (name, key, value) => isInput(name) && log.mapKey(name, key, value),
    wholeMap: (name, value) => isInput(name) && log.wholeMap(name, value),
    predicate: (predicate, answer) => isInput(predicate.attribute) && log.predicate(predicate, answer),
  }
}
