// A handler of the current config, running: the adapter's code behind its guard.

import type { CheckResult, Handler, QuotaRequest, QuotaResult } from '../adapter-kit/define-adapter.ts'
import type { CheckTemplate, Instance } from '../adapter-kit/instance.ts'
import { attributesProblem, checkResultProblem, quotaResultProblem } from '../adapter-kit/results.ts'
import { TEMPLATES } from '../adapter-kit/templates.ts'
import type { VerdictSource } from '../cache/verdict-request.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { AttributeValue } from '../kernel/value.ts'
import {
  DEFAULT_VALID_FOR_MS,
  DEFAULT_VALID_USES,
  MAX_VALID_FOR_MS,
  MAX_VALID_USES,
  type Verdict,
} from '../kernel/verdict.ts'
import { believe } from './believe.ts'
import type { Guard } from './guard.ts'

export class RunningHandler implements VerdictSource {
  readonly handler: HandlerConfig
  readonly #code: Handler
  readonly #guard: Guard
  #stopped = false

  constructor(handler: HandlerConfig, code: Handler, guard: Guard) {
    this.handler = handler
    this.#code = code
    this.#guard = guard
  }

  /** The adapter's own object, for the report side. */
  get code(): Handler {
    return this.#code
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
    const check = this.#code.check?.[instance.template as CheckTemplate]
    if (check === undefined) throw this.#unsupported(instance.template)
    const options = key === undefined ? { deadline } : { deadline, key }
    const result = this.#guard.run((call) => believe(check(instance as never, call), checkResultProblem), options)
    return result instanceof Promise ? result.then(toVerdict) : toVerdict(result)
  }

  quota(instance: Instance, request: QuotaRequest, deadline: number): QuotaResult | Promise<QuotaResult> {
    const { quota } = this.#code
    if (quota === undefined) throw this.#unsupported(instance.template)
    const problemOf = (result: unknown) => quotaResultProblem(result, request)
    // What failed may have been charged: only a request that can be recognised again is made a second time.
    const retry = request.deduplicationId !== ''
    return this.#guard.run((call) => believe(quota.quota(instance, request, call), problemOf), { deadline, retry })
  }

  generate(
    instance: Instance,
    deadline: number,
  ): Readonly<Record<string, AttributeValue>> | Promise<Readonly<Record<string, AttributeValue>>> {
    const { attributes } = this.#code
    const template = TEMPLATES.get(instance.template)
    if (attributes === undefined || template === undefined) throw this.#unsupported(instance.template)
    const problemOf = (output: unknown) => attributesProblem(output, template)
    return this.#guard.run((call) => believe(attributes.kubernetes(instance, call), problemOf), { deadline })
  }

  #unsupported(template: string): IntermixError {
    return new IntermixError('INTERNAL', `${this.handler.name} does not handle template ${template}`)
  }
}

function toVerdict(result: CheckResult): Verdict {
  return {
    kind: result.status.code === 0 ? 'allow' : 'deny',
    status: result.status,
    validForMs: Math.min(result.validForMs ?? DEFAULT_VALID_FOR_MS, MAX_VALID_FOR_MS),
    validUses: Math.min(result.validUses ?? DEFAULT_VALID_USES, MAX_VALID_USES),
    ...(result.directResponse === undefined ? {} : { directResponse: result.directResponse }),
    ...(result.output === undefined ? {} : { output: result.output }),
  }
}
