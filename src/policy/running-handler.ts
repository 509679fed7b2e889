// A handler of the current config, running: the adapter's code behind its guard.

import type {
  AnyHandler,
  CallContext,
  CheckResult,
  EndedCharge,
  QuotaCharge,
  QuotaRequest,
  QuotaResult,
  ReportContext,
  UnusedCharge,
} from '../adapter-kit/define-adapter.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import {
  attributesProblem,
  checkResultProblem,
  quotaResultProblem,
  quotaResultsProblem,
} from '../adapter-kit/results.ts'
import type { TemplateDefinition } from '../adapter-kit/template.ts'
import { templatesOf } from '../adapter-kit/templates.ts'
import type { VerdictSource } from '../cache/verdict-request.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import { OK_STATUS } from '../kernel/status.ts'
import type { AttributeValue } from '../kernel/value.ts'
import {
  DEFAULT_VALID_FOR_MS,
  DEFAULT_VALID_USES,
  MAX_VALID_FOR_MS,
  MAX_VALID_USES,
  type Verdict,
} from '../kernel/verdict.ts'
import { type Guard, isThenable } from './guard.ts'

/** Of charges in order; where one is refused, those after it may be missing. */
export type QuotaResults = readonly QuotaResult[] | Promise<readonly QuotaResult[]>

/** Whether what was wanted is refused. Mixer's adapters say so by granting nothing, whatever the status. */
export function isRefusal({ status, granted }: QuotaResult, wanted = 1): boolean {
  return status.code !== 0 || (wanted > 0 && granted <= 0)
}

type ReportMethod<A, R> = (batch: A, call: ReportContext) => R | Promise<R>

export class RunningHandler implements VerdictSource {
  readonly handler: HandlerConfig
  readonly #code: AnyHandler
  readonly #guard: Guard
  readonly #templates: ReadonlyMap<string, TemplateDefinition>
  readonly #latest: { allow?: Verdict; deny?: Verdict } = {}
  #stopped = false
  #calls = 0
  #counted: AnyHandler | undefined

  constructor(handler: HandlerConfig, code: AnyHandler, guard: Guard) {
    this.handler = handler
    this.#code = code
    this.#guard = guard
    this.#templates = templatesOf(handler.adapter)
  }

  /** The adapter's code for the report side, which has its own bounds in place of the guard; its calls are counted. */
  get code(): AnyHandler {
    return (this.#counted ??= this.#countingReports())
  }

  /** Calls under way, those that were given up left out. */
  get calls(): number {
    return this.#calls
  }

  healthy(): boolean {
    return !this.#stopped && this.#guard.healthy()
  }

  async start(): Promise<void> {
    await this.#code.start?.()
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.#code.stop?.()
  }

  fetch(instance: Instance, deadline: number, key?: string): Verdict | Promise<Verdict> {
    const { check: methods } = this.#code
    const check = methods?.[instance.template]
    if (check === undefined) throw this.#unsupported(instance.template)
    const options = key === undefined ? { deadline } : { deadline, key }
    const ask = (call: CallContext) => believe(check.call(methods, instance, call), checkResultProblem)
    const result = this.#guard.run(ask, options)
    return result instanceof Promise ? this.#count(result).then(this.#toVerdict) : this.#toVerdict(result)
  }

  quota(instance: Instance, request: QuotaRequest, deadline: number): QuotaResult | Promise<QuotaResult> {
    const { quota: methods } = this.#code
    const quota = methods?.[instance.template]
    if (quota === undefined) throw this.#unsupported(instance.template)
    const problemOf = (result: unknown) => quotaResultProblem(result, request)
    // What failed may have been charged: only a request that can be recognised again is made a second time.
    const retry = request.deduplicationId !== ''
    const ask = (call: CallContext) => believe(quota.call(methods, instance, request, call), problemOf)
    return this.#counting(this.#guard.run(ask, { deadline, retry }))
  }

  /**
   * Charges instances of one template that belong to one request: all or none, where the handler can do that; else one after
   * the other, up to the first one that is refused.
   */
  quotaTogether(charges: readonly QuotaCharge[], deadline: number): QuotaResults {
    const [first] = charges
    const together = first && this.#code.quotaTogether?.[first.instance.template]
    if (together === undefined || charges.length === 1) return this.#inTurn(charges, deadline)
    const problemOf = (results: unknown) => quotaResultsProblem(results, charges)
    const retry = charges.every(({ request }) => request.deduplicationId !== '')
    const ask = (call: CallContext) => believe(together.call(this.#code.quotaTogether, charges, call), problemOf)
    return this.#counting(this.#guard.run(ask, { deadline, retry }))
  }

  /** Gives back what requests held that have ended. @returns how many of them held something */
  quotaEnded(ended: readonly EndedCharge[], deadline: number): number | Promise<number> {
    const methods = this.#code.quotaEnded
    const template = ended[0]?.instance.template ?? ''
    const method = methods?.[template]
    if (method === undefined) throw this.#unsupported(template)
    const problemOf = (count: unknown) => (Number.isInteger(count) ? undefined : 'it must say how many held something')
    const ask = (call: CallContext) => believe(method.call(methods, ended, call), problemOf)
    return this.#counting(this.#guard.run(ask, { deadline, retry: true }))
  }

  /** Takes back what was charged ahead and not used, where the handler can. */
  quotaUnused(unused: readonly UnusedCharge[], deadline: number): void | Promise<void> {
    const methods = this.#code.quotaUnused
    const method = methods?.[unused[0]?.instance.template ?? '']
    if (method === undefined) return
    // What is heard twice would be given back twice.
    return this.#counting(this.#guard.run((call) => method.call(methods, unused, call), { deadline, retry: false }))
  }

  #inTurn(charges: readonly QuotaCharge[], deadline: number, done: readonly QuotaResult[] = []): QuotaResults {
    const next = charges[done.length]
    const last = done.at(-1)
    const isOver = last !== undefined && isRefusal(last, charges[done.length - 1]?.request.amount)
    if (next === undefined || isOver) return done
    const result = this.quota(next.instance, next.request, deadline)
    if (result instanceof Promise) return result.then((known) => this.#inTurn(charges, deadline, [...done, known]))
    return this.#inTurn(charges, deadline, [...done, result])
  }

  /** Forgets what was charged for an instance, at an operator's wish. @returns how many counters had something */
  async resetQuota(instance: Instance): Promise<number> {
    const reset = this.#code.quotaReset?.[instance.template]
    if (reset === undefined) throw this.#notToBeReset('one counter')
    return await reset.call(this.#code.quotaReset, instance)
  }

  /** Forgets what was charged for all instances of a name, or for all. @returns how many counters had something */
  async resetQuotas(instance?: string): Promise<number> {
    if (this.#code.quotaResetAll === undefined) throw this.#notToBeReset('all counters')
    return await this.#code.quotaResetAll(instance)
  }

  generate(
    instance: Instance,
    deadline: number,
  ): Readonly<Record<string, AttributeValue>> | Promise<Readonly<Record<string, AttributeValue>>> {
    const { attributes: methods } = this.#code
    const generate = methods?.[instance.template]
    const template = this.#templates.get(instance.template)
    if (generate === undefined || template === undefined) throw this.#unsupported(instance.template)
    const problemOf = (output: unknown) => attributesProblem(output, template)
    const ask = (call: CallContext) => believe(generate.call(methods, instance, call), problemOf)
    return this.#counting(this.#guard.run(ask, { deadline }))
  }

  /** Most verdicts of a handler say the same as the one before: then they are the same object, of which caches hold many. */
  readonly #toVerdict = (result: CheckResult): Verdict => {
    const verdict = verdictOf(result)
    if (verdict.directResponse !== undefined || verdict.output !== undefined) return verdict
    const latest = this.#latest[verdict.kind === 'allow' ? 'allow' : 'deny']
    if (latest !== undefined && isSame(latest, verdict)) return latest
    this.#latest[verdict.kind === 'allow' ? 'allow' : 'deny'] = verdict
    return verdict
  }

  #counting<T>(result: T | Promise<T>): T | Promise<T> {
    return result instanceof Promise ? this.#count(result) : result
  }

  /** Counts a call until it settles, or its caller gives it up. */
  #count<T>(pending: Promise<T>, signal?: AbortSignal): Promise<T> {
    let isCounted = true
    this.#calls++
    const end = () => {
      if (isCounted) this.#calls--
      isCounted = false
      signal?.removeEventListener('abort', end)
    }
    signal?.addEventListener('abort', end, { once: true })
    pending.then(end, end)
    return pending
  }

  /** By the adapter's word of what it takes: methods of a class are no entries. */
  #countingReports(): AnyHandler {
    const { report, aggregate } = this.#code
    return { report: this.#countingEach(report), aggregate: this.#countingEach(aggregate) }
  }

  #countingEach<A, R>(methods: Readonly<Record<string, ReportMethod<A, R> | undefined>> | undefined) {
    const counted = [...this.#templates.keys()].flatMap((template) => {
      const method = methods?.[template]
      if (method === undefined) return []
      const counting = (batch: A, context: ReportContext) =>
        this.#count(Promise.resolve(method.call(methods, batch, context)), context.signal)
      return [[template, counting] as const]
    })
    return Object.fromEntries(counted)
  }

  #notToBeReset(what: string): IntermixError {
    const { name, adapter } = this.handler
    return new IntermixError('INVALID_REQUEST', `${name}: the adapter ${adapter.name} cannot reset ${what}`)
  }

  #unsupported(template: string): IntermixError {
    return new IntermixError('INTERNAL', `${this.handler.name} does not handle template ${template}`)
  }
}

/**
 * The answer itself. Throws, or rejects with, a `BACKEND_FAILED` that says what is wrong with it. To be called within
 * the guard, so that a backend that answers nonsense counts as one that fails.
 * @param problemOf says what is wrong with an answer, or `undefined`
 */
function believe<T>(answer: T | Promise<T>, problemOf: (value: unknown) => string | undefined): T | Promise<T> {
  const look = (value: T): T => {
    const problem = problemOf(value)
    if (problem === undefined) return value
    throw new IntermixError('BACKEND_FAILED', `the adapter answered nonsense: ${problem}`, { backend: 'answered' })
  }
  return isThenable(answer) ? Promise.resolve(answer).then(look) : look(answer)
}

function verdictOf(result: CheckResult): Verdict {
  const isPlain = result.status.code === 0 && result.status.message === ''
  return {
    kind: result.status.code === 0 ? 'allow' : 'deny',
    status: isPlain ? OK_STATUS : result.status,
    validForMs: Math.min(result.validForMs ?? DEFAULT_VALID_FOR_MS, MAX_VALID_FOR_MS),
    validUses: Math.min(result.validUses ?? DEFAULT_VALID_USES, MAX_VALID_USES),
    ...(result.directResponse === undefined ? {} : { directResponse: result.directResponse }),
    ...(result.output === undefined ? {} : { output: result.output }),
  }
}

function isSame(one: Verdict, two: Verdict): boolean {
  return (
    one.status.code === two.status.code &&
    one.status.message === two.status.message &&
    one.validForMs === two.validForMs &&
    one.validUses === two.validUses
  )
}
