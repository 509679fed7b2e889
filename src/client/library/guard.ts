// What all middlewares share: whether a call may go on, and what becomes of it where nobody can say.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import type { Denial } from '../../kernel/denial.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, httpStatusOf, type Status } from '../../kernel/status.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import type { CheckResult } from './check-result.ts'
import type { Client, ClientCheckOptions } from './client.ts'
import { type Attributes, GivenBag } from './given-attributes.ts'

/** How calls are checked; `C` is a call as its framework knows it. */
export interface GuardOptions<C> extends Pick<ClientCheckOptions, 'timeoutMs' | 'charging'> {
  readonly client: Client
  /** Attributes that the call does not bring, such as `destination.service.name`; they win over those that it does. */
  readonly attributes?: Attributes | ((call: C) => Attributes)
  /** Quotas to charge for each call. */
  readonly quotas?: ClientCheckOptions['quotas'] | ((call: C) => ClientCheckOptions['quotas'])
  /**
   * What becomes of a call where no node can say whether it is allowed, and nothing kept may: `deny`, the default, ends it as
   * UNAVAILABLE (503); `allow` lets it pass. What is wrong with the program's own attributes ends it anyhow.
   */
  readonly onFailure?: 'deny' | 'allow'
  /** Calls that are neither checked nor reported. */
  readonly skip?: (call: C) => boolean
  /** Whether calls are reported when they are over; they are unless told. */
  readonly report?: boolean
}

/** What the check says of a call. `result` is missing where no node said anything. */
export type Judgement =
  | { readonly allowed: true; readonly result: CheckResult | undefined }
  | {
      readonly allowed: false
      readonly status: Status
      readonly denial: Denial
      readonly result: CheckResult | undefined
    }

export class Guard<C> {
  readonly options: GuardOptions<C>

  constructor(options: GuardOptions<C>) {
    this.options = options
  }

  /** Checks a call; never throws nor rejects. @param describe makes its attributes, of the program's own among others */
  judge(
    call: C,
    describe: (set: Map<string, AttributeValue | undefined> | undefined) => AttributeBag,
  ): Judgement | Promise<Judgement> {
    const { client } = this.options
    try {
      const result = client.check((vocabulary) => describe(this.own(call, vocabulary)), this.#checkOptions(call))
      if (!(result instanceof Promise)) return judged(result)
      return result.then(judged, (caught: unknown) => this.#failed(caught))
    } catch (caught) {
      return this.#failed(caught)
    }
  }

  /** Hands a call over to be reported; what is wrong with it is only told. */
  report(call: C, describe: (set: Map<string, AttributeValue | undefined> | undefined) => AttributeBag): void {
    const { client, report = true } = this.options
    if (!report) return
    try {
      client.report((vocabulary) => describe(this.own(call, vocabulary)))
    } catch (caught) {
      client.warn('a call cannot be reported', { error: IntermixError.from(caught).message })
    }
  }

  /** What the program sets. @throws IntermixError INVALID_ATTRIBUTE */
  own(call: C, vocabulary: Vocabulary): Map<string, AttributeValue | undefined> | undefined {
    const { attributes } = this.options
    if (attributes === undefined) return undefined
    const bag = new GivenBag(typeof attributes === 'function' ? attributes(call) : attributes, vocabulary)
    bag.detach()
    return new Map(Array.from(bag.names(), (name) => [name, bag.get(name)]))
  }

  #checkOptions(call: C): ClientCheckOptions {
    const { timeoutMs, charging, quotas } = this.options
    const named = typeof quotas === 'function' ? quotas(call) : quotas
    return {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(charging === undefined ? {} : { charging }),
      ...(named === undefined ? {} : { quotas: named }),
    }
  }

  #failed(caught: unknown): Judgement {
    const { client, onFailure = 'deny' } = this.options
    const error = IntermixError.from(caught)
    const { status } = error
    const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
    client.warn('a call could not be checked', { error: error.message, code: error.code, ...cause })
    if (error.retryable && onFailure === 'allow') return { allowed: true, result: undefined }
    const told = error.code === 'INTERNAL' ? { ...status, message: 'the call could not be checked' } : status
    const httpStatus = error.retryable ? 503 : httpStatusOf(status.code)
    const denial = { httpStatus, body: told.message, headers: new Map<string, string>() }
    return { allowed: false, status: told, denial, result: undefined }
  }
}

function judged(result: CheckResult): Judgement {
  if (!result.allowed) return { allowed: false, status: result.status, denial: result.denial(), result }
  // A quota of the program's own ends a call as a rule's does.
  for (const [name, { granted, validForMs }] of result.quotas)
    if (granted === 0) return exhausted(name, validForMs, result)
  return { allowed: true, result }
}

function exhausted(name: string, validForMs: number, result: CheckResult): Judgement {
  const status = { code: Code.RESOURCE_EXHAUSTED, message: `the quota ${name} is exhausted` }
  const headers = new Map([['retry-after', String(Math.max(1, Math.ceil(validForMs / 1000)))]])
  return { allowed: false, status, denial: { httpStatus: 429, body: status.message, headers }, result }
}
