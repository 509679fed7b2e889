// Attribute generation: handlers that know more of a request (which pod has this address) add attributes to the bag
// before rules see it.

import type { CandidateSet } from '../config/rule-index.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, OverlayBag } from '../kernel/attribute-bag.ts'
import type { Counter, Meter } from '../kernel/ports.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { HandlerTable } from './handler-table.ts'

/** Counts generators that gave nothing; the request goes on without their attributes. */
export function generationFailures(meter: Meter): Counter {
  return meter.counter({
    name: 'attribute_generation_failures_total',
    help: 'Attribute generators that failed; the request went on without their attributes.',
  })()
}

/**
 * The bag with the generated attributes laid over it; the bag itself where nothing was generated.
 * @param log hears what the generators' inputs read
 */
export function generateAttributes(
  bag: AttributeBag,
  rules: CandidateSet['rules'],
  handlers: HandlerTable,
  options: { readonly deadline: number; readonly failures: Counter; readonly log?: ReadLog },
): AttributeBag | Promise<AttributeBag> {
  let generated: AttributeBag | Promise<AttributeBag> = bag
  for (const rule of rules) {
    if (rule.match !== undefined && rule.match.evaluate(bag, options.log) !== true) continue
    for (const { handler, instances } of rule.actions) {
      for (const config of instances) {
        if (config.template.variety !== 'attributes') continue
        const step = (current: AttributeBag) => runGenerator(current, config, handlers.get(handler.name), options)
        generated = generated instanceof Promise ? generated.then(step) : step(generated)
      }
    }
  }
  return generated
}

function runGenerator(
  bag: AttributeBag,
  config: CandidateSet['rules'][number]['actions'][number]['instances'][number],
  running: ReturnType<HandlerTable['get']>,
  options: { readonly deadline: number; readonly failures: Counter; readonly log?: ReadLog },
): AttributeBag | Promise<AttributeBag> {
  const instance = config.build(bag, options.log)
  if (instance instanceof EvaluationError || running === undefined) {
    options.failures.add()
    return bag
  }
  const lay = (output: Readonly<Record<string, AttributeValue>>) => bind(bag, config.bindings, output, options.log)
  try {
    const output = running.generate(instance, options.deadline)
    if (!(output instanceof Promise)) return lay(output)
    return output.then(lay, () => {
      options.failures.add()
      return bag
    })
  } catch {
    options.failures.add()
    return bag
  }
}

/** Evaluates the bindings over the output (as `$out.<snake_case>` and `output.<snake_case>`) and the bag. */
function bind(
  bag: AttributeBag,
  bindings: ReadonlyMap<string, { evaluate(bag: AttributeBag, log?: ReadLog): AttributeValue | EvaluationError }>,
  output: Readonly<Record<string, AttributeValue>>,
  log: ReadLog | undefined,
): AttributeBag {
  const outputs = new Map<string, AttributeValue>()
  for (const [field, value] of Object.entries(output)) {
    const name = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    outputs.set(`$out.${name}`, value)
    outputs.set(`output.${name}`, value)
  }
  const view = new OverlayBag(bag, outputs)
  const heard = log === undefined ? undefined : new WithoutOutputs(log)
  const values = new Map<string, AttributeValue>()
  for (const [attribute, expression] of bindings) {
    const value = expression.evaluate(view, heard)
    if (!(value instanceof EvaluationError)) values.set(attribute, value)
  }
  return new OverlayBag(bag, values)
}

/** Hides reads of a handler's output: they are no attributes of the request. */
export class WithoutOutputs implements ReadLog {
  readonly #log: ReadLog

  constructor(log: ReadLog) {
    this.#log = log
  }

  attribute(name: string, value: AttributeValue | undefined): void {
    if (!isOutput(name)) this.#log.attribute(name, value)
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    if (!isOutput(name)) this.#log.mapKey(name, key, value)
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    if (!isOutput(name)) this.#log.wholeMap(name, value)
  }

  predicate(...[predicate, answer]: Parameters<ReadLog['predicate']>): void {
    if (!isOutput(predicate.attribute)) this.#log.predicate(predicate, answer)
  }
}

function isOutput(name: string): boolean {
  return name.startsWith('$out.') || name.startsWith('output.') || name.includes('.output.')
}
