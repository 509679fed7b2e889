// The attributes that generators add to a request before rules see it.
//
// Every generator sees the request alone. What the request brought is never replaced; of several generators that bind an
// attribute, the first in rule order that has a value for it wins. What a generator would have given is unknown where its
// rule's match, its inputs, its backend or a binding fail, unless another one gives it. Where an input or a binding lacks
// something absent, there is nothing to give.

import { evaluate } from './interpreter.ts'
import { type ConfigModel, type GeneratorModel, type HandlerModel, named } from './model.ts'
import { applies, rulesFor } from './rules.ts'
import {
  ABSENT,
  CALL_FAILED,
  FAILED,
  isValue,
  PERMISSION_DENIED,
  type Readable,
  Unknown,
  type Value,
} from './values.ts'

/** What a generator's backend puts out for its inputs, by field in snake_case; `undefined` where it fails. */
export type Generate = (
  handler: HandlerModel,
  inputs: ReadonlyMap<string, Value>,
) => ReadonlyMap<string, Value> | undefined

/** A request with what was generated for it. */
export class Completed implements Readable {
  readonly #own: Readable
  readonly #generated: Generated

  constructor(own: Readable, generated: Generated) {
    this.#own = own
    this.#generated = generated
  }

  get(name: string): unknown {
    return this.#own.get(name) ?? this.#generated.values.get(name)
  }

  whyUnknown(name: string): Unknown | undefined {
    return this.get(name) === undefined ? this.#generated.unknowns.get(name) : undefined
  }

  get hasUnknown(): boolean {
    return this.#generated.unknowns.size > 0
  }
}

interface Generated {
  readonly values: Map<string, Value>
  readonly unknowns: Map<string, Unknown>
}

export function complete(config: ConfigModel, own: Readable, generate: Generate): Completed {
  const all: Generated = { values: new Map(), unknowns: new Map() }
  for (const rule of rulesFor(config.rules, own)) {
    const answer = rule.mode === 'shadow' ? false : applies(rule, own)
    if (answer === false) continue
    for (const action of rule.actions) {
      for (const name of action.instances) {
        const instance = named(config.instances, name)
        if (instance.template !== 'kubernetes') continue
        const made =
          answer === true
            ? run(instance, named(config.handlers, action.handler), own, generate)
            : allUnknown(instance, PERMISSION_DENIED)
        for (const [attribute, value] of made.values) if (!all.values.has(attribute)) all.values.set(attribute, value)
        for (const [attribute, reason] of made.unknowns) {
          if (!all.unknowns.has(attribute)) all.unknowns.set(attribute, reason)
        }
      }
    }
  }
  for (const name of all.unknowns.keys()) {
    if (own.get(name) !== undefined || all.values.has(name)) all.unknowns.delete(name)
  }
  return new Completed(own, all)
}

function allUnknown({ bindings }: GeneratorModel, code: number): Generated {
  return { values: new Map(), unknowns: new Map(bindings.map(([attribute]) => [attribute, new Unknown(code)])) }
}

function run(instance: GeneratorModel, handler: HandlerModel, own: Readable, generate: Generate): Generated {
  const { dialect, inputs, bindings } = instance
  const made: Generated = { values: new Map(), unknowns: new Map() }
  const given = new Map<string, Value>()
  for (const [field, expression] of inputs) {
    const value = evaluate(expression, dialect, own)
    if (!isValue(value)) return value === ABSENT ? made : allUnknown(instance, PERMISSION_DENIED)
    given.set(field, value)
  }
  const output = generate(handler, given)
  if (output === undefined) return allUnknown(instance, CALL_FAILED)
  // In a binding an output is called `$out.<field>` or, as in Mixer's dynamic templates, `output.<field>`.
  const view: Readable = {
    get(name) {
      const [, field] = /^(?:\$out|output)\.(.*)$/.exec(name) ?? []
      return field !== undefined && OUTPUTS.has(field) ? output.get(field) : own.get(name)
    },
  }
  for (const [attribute, expression] of bindings) {
    if (own.get(attribute) !== undefined) continue
    const value = evaluate(expression, dialect, view)
    if (isValue(value)) made.values.set(attribute, value)
    else if (value === FAILED) made.unknowns.set(attribute, new Unknown(PERMISSION_DENIED))
  }
  return made
}

/** Fields of what generators put out that bindings read. */
const OUTPUTS: ReadonlySet<string> = new Set(['source_pod_name', 'source_namespace', 'source_pod_ip', 'source_labels'])
