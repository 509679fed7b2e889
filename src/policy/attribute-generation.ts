// Attribute generation: handlers that know more of a request (which pod has this address) add attributes to what the
// request brought, before rules see it. What a failed one would have added is unknown, so that rules do not take it for
// absent.

import type { CandidateSet } from '../config/rule-index.ts'
import type { InstanceConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, CompletedBag, OverlayBag, type UnknownAttributes } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { ATTRIBUTE_GENERATION_FAILURES_TOTAL } from '../kernel/metrics/checks.ts'
import type { Counter, Meter } from '../kernel/ports.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { HandlerTable } from './handler-table.ts'
import { evaluationFailure, matchRule } from './rule-match.ts'

/** Counts generators that failed. */
export function generationFailures(meter: Meter): Counter {
  return meter.counter(ATTRIBUTE_GENERATION_FAILURES_TOTAL)()
}

interface GenerationOptions {
  readonly deadline: number
  readonly failures: Counter
  /** What the attributes are taken for that a failed generator would have given. */
  readonly failed: 'unknown' | 'absent'
  /** Hears what of the request the generators' matches, instances and bindings read. */
  readonly log?: ReadLog | undefined
}

/** What one generator, or all together, gave. */
interface Generated {
  readonly values: ReadonlyMap<string, AttributeValue>
  readonly unknowns: UnknownAttributes
}

const NOTHING: Generated = { values: new Map(), unknowns: new Map() }

/**
 * The request's attributes with the generated ones beside them (a `CompletedBag`); the bag itself where there are none.
 *
 * As in Mixer: every generator sees the request alone, never what another one made, and all are asked at once. A value
 * that the request brought is never replaced; a map counts as a whole. Where several generators bind one attribute, the
 * first that has a value for it wins; first is by rule, action, instance, and not, as in Mixer, by time of arrival.
 *
 * A generator fails whose handler gives no answer, whose rule's match is unknown, or whose instance fails; a single
 * binding can fail too. What it would have bound, and the request does not have and no other generator gives, is unknown.
 * Failing by something absent is none of this: then there is nothing to give. (Mixer failed the whole check.)
 */
export function generateAttributes(
  own: AttributeBag,
  rules: CandidateSet['rules'],
  handlers: HandlerTable,
  options: GenerationOptions,
): AttributeBag | Promise<AttributeBag> {
  const made: (Generated | Promise<Generated>)[] = []
  let waits = false
  for (const rule of rules) {
    const isMatch = matchRule(rule, own, options.log, () => options.failures.add())
    if (isMatch === false) continue
    for (const { handler, instances } of rule.actions) {
      for (const config of instances) {
        if (config.template.variety !== 'attributes') continue
        const generator = { own, config, handler: handler.name, running: handlers.get(handler.name), options }
        const generated =
          isMatch === true
            ? generate(generator)
            : unknownOf(generator, evaluationFailure(`match of ${rule.name}`, isMatch))
        waits ||= generated instanceof Promise
        made.push(generated)
      }
    }
  }
  if (!waits) return complete(own, made as Generated[], options)
  return Promise.all(made.map(async (generated) => await generated)).then((all) => complete(own, all, options))
}

function complete(own: AttributeBag, made: readonly Generated[], { failed }: GenerationOptions): AttributeBag {
  const values = firstOf(made.map((generated) => generated.values))
  const unknowns = new Map(failed === 'absent' ? [] : firstOf(made.map((generated) => generated.unknowns)))
  for (const name of values.keys()) unknowns.delete(name)
  return values.size + unknowns.size === 0 ? own : new CompletedBag(own, values, unknowns)
}

/** All entries; of those under one name the first. */
function firstOf<T>(maps: readonly ReadonlyMap<string, T>[]): ReadonlyMap<string, T> {
  const some = maps.filter(({ size }) => size > 0)
  const [only = new Map<string, T>()] = some
  // Later entries of a map replace earlier ones.
  return some.length < 2 ? only : new Map(some.toReversed().flatMap((map) => [...map]))
}

interface Generator {
  readonly own: AttributeBag
  readonly config: InstanceConfig
  readonly handler: string
  readonly running: ReturnType<HandlerTable['get']>
  readonly options: GenerationOptions
}

function generate(generator: Generator): Generated | Promise<Generated> {
  const { own, config, handler, running, options } = generator
  const fail = (caught: unknown) => {
    options.failures.add()
    return unknownOf(generator, IntermixError.from(caught))
  }
  const instance = config.build(own, options.log)
  if (instance instanceof EvaluationError) {
    if (instance.kind !== 'absent') return fail(evaluationFailure(config.name, instance))
    options.failures.add()
    return NOTHING
  }
  if (running === undefined) return fail(new IntermixError('INTERNAL', `${handler} is not running`))
  const bound = (output: Readonly<Record<string, AttributeValue>>) => bind(generator, output)
  try {
    const output = running.generate(instance, options.deadline)
    return output instanceof Promise ? output.then(bound, fail) : bound(output)
  } catch (caught) {
    return fail(caught)
  }
}

/** All that the generator would have bound, as unknown. */
function unknownOf({ own, config, handler }: Generator, error: IntermixError): Generated {
  const reason = named(handler, error)
  const unknowns = new Map<string, IntermixError>()
  for (const attribute of config.bindings.keys()) if (own.get(attribute) === undefined) unknowns.set(attribute, reason)
  return { values: NOTHING.values, unknowns }
}

/** The failure with its handler's name. */
function named(handler: string, error: IntermixError): IntermixError {
  if (error.message.includes(handler)) return error
  return new IntermixError(error.code, `${handler}: ${error.message}`, { cause: error })
}

/** Evaluates the bindings of what the request lacks over the output (as `$out.<snake_case>`) and the request. */
function bind(
  { own, config: { bindings, outputs }, handler, options }: Generator,
  output: Readonly<Record<string, AttributeValue>>,
): Generated {
  const put = new Map<string, AttributeValue>()
  for (const [field, value] of Object.entries(output)) {
    const name = outputs.byField.get(field)
    if (name !== undefined) put.set(name, value)
  }
  const view = new OverlayBag(own, outputs.names, put)
  const values = new Map<string, AttributeValue>()
  const unknowns = new Map<string, IntermixError>()
  for (const [attribute, expression] of bindings) {
    // Whoever reads the attribute then reads the request's own, so there is nothing to tell the log.
    if (own.get(attribute) !== undefined) continue
    const value = expression.evaluate(view, options.log)
    if (!(value instanceof EvaluationError)) values.set(attribute, value)
    else if (value.kind !== 'absent') {
      options.failures.add()
      unknowns.set(attribute, named(handler, evaluationFailure('binding', value)))
    }
  }
  return { values, unknowns }
}
