// Attribute generation: handlers that know more of a request (which pod has this address) add attributes to what the
// request brought, before rules see it.

import type { CandidateSet } from '../config/rule-index.ts'
import type { InstanceConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, CompletedBag, OverlayBag } from '../kernel/attribute-bag.ts'
import type { Counter, Meter } from '../kernel/ports.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { HandlerTable } from './handler-table.ts'
import { matchRule } from './rule-match.ts'

/** Counts generators that gave nothing; the request goes on without their attributes. */
export function generationFailures(meter: Meter): Counter {
  return meter.counter({
    name: 'attribute_generation_failures_total',
    help: 'Attribute generators that failed; the request went on without their attributes.',
  })()
}

interface GenerationOptions {
  readonly deadline: number
  readonly failures: Counter
  /** Hears what of the request the generators' matches, instances and bindings read. */
  readonly log?: ReadLog | undefined
}

type Values = ReadonlyMap<string, AttributeValue>

const NOTHING: Values = new Map()

/**
 * The request's attributes with the generated ones beside them (a `CompletedBag`); the bag itself where there are none.
 *
 * As in Mixer: every generator sees the request alone, never what another one made, and all are asked at once. A value
 * that the request brought is never replaced; a map counts as a whole. Where several generators bind one attribute, the
 * first that has a value for it wins; first is by rule, action, instance, and not, as in Mixer, by time of arrival. A
 * generator that fails, or whose rule's match fails, and a binding that cannot be evaluated, give nothing.
 */
export function generateAttributes(
  own: AttributeBag,
  rules: CandidateSet['rules'],
  handlers: HandlerTable,
  options: GenerationOptions,
): AttributeBag | Promise<AttributeBag> {
  const made: (Values | Promise<Values>)[] = []
  let waits = false
  for (const rule of rules) {
    if (matchRule(rule, own, options.log, () => options.failures.add()) !== true) continue
    for (const { handler, instances } of rule.actions) {
      for (const config of instances) {
        if (config.template.variety !== 'attributes') continue
        const values = runGenerator(own, config, handlers.get(handler.name), options)
        waits ||= values instanceof Promise
        made.push(values)
      }
    }
  }
  if (!waits) return complete(own, made as Values[])
  return Promise.all(made.map(async (values) => await values)).then((all) => complete(own, all))
}

function complete(own: AttributeBag, made: readonly Values[]): AttributeBag {
  const some = made.filter((values) => values.size > 0)
  const [only = NOTHING] = some
  if (some.length < 2) return only.size === 0 ? own : new CompletedBag(own, only)
  // Later entries of a map replace earlier ones, and the first generator is to win.
  return new CompletedBag(own, new Map(some.toReversed().flatMap((values) => [...values])))
}

function runGenerator(
  own: AttributeBag,
  config: InstanceConfig,
  running: ReturnType<HandlerTable['get']>,
  options: GenerationOptions,
): Values | Promise<Values> {
  const fail = () => {
    options.failures.add()
    return NOTHING
  }
  const instance = config.build(own, options.log)
  if (instance instanceof EvaluationError || running === undefined) return fail()
  const bound = (output: Readonly<Record<string, AttributeValue>>) => bind(own, config, output, options.log)
  try {
    const output = running.generate(instance, options.deadline)
    return output instanceof Promise ? output.then(bound, fail) : bound(output)
  } catch {
    return fail()
  }
}

/** Evaluates the bindings of what the request lacks over the output (as `$out.<snake_case>`) and the request. */
function bind(
  own: AttributeBag,
  { bindings, outputs }: InstanceConfig,
  output: Readonly<Record<string, AttributeValue>>,
  log: ReadLog | undefined,
): Values {
  const put = new Map<string, AttributeValue>()
  for (const [field, value] of Object.entries(output)) {
    const name = outputs.byField.get(field)
    if (name !== undefined) put.set(name, value)
  }
  const view = new OverlayBag(own, outputs.names, put)
  const values = new Map<string, AttributeValue>()
  for (const [attribute, expression] of bindings) {
    // Whoever reads the attribute then reads the request's own, so there is nothing to tell the log.
    if (own.get(attribute) !== undefined) continue
    const value = expression.evaluate(view, log)
    if (!(value instanceof EvaluationError)) values.set(attribute, value)
  }
  return values
}
