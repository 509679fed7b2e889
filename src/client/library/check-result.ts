// The answer to a check, as a program sees it.

import { type Denial, denialOf } from '../../kernel/denial.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { CheckOutcome } from '../../kernel/services.ts'
import type { Status } from '../../kernel/status.ts'
import type { Tier } from '../../kernel/verdict.ts'

/** What became of a quota that was asked for. */
export interface Grant {
  /** How much of it is granted; 0 where it is exhausted. */
  readonly granted: number
  readonly status: Status
  readonly validForMs: number
}

export class CheckResult {
  readonly #outcome: CheckOutcome

  constructor(outcome: CheckOutcome) {
    this.#outcome = outcome
  }

  get allowed(): boolean {
    return this.#outcome.answer.status.code === 0
  }

  /** A google.rpc.Code, and what to tell the caller. */
  get status(): Status {
    return this.#outcome.answer.status
  }

  /** Where it came from: `local` is this process. */
  get tier(): Tier {
    return this.#outcome.answer.tier
  }

  /** How long ago the oldest part of the answer was obtained from who knows it, in ms. */
  get ageMs(): number {
    return this.#outcome.answer.ageMs
  }

  get validForMs(): number {
    return this.#outcome.answer.validForMs
  }

  /** What is to be done to the headers of the request, one after the other, before it goes on. */
  get requestHeaders(): readonly HeaderOperation[] {
    return this.#outcome.answer.requestHeaders
  }

  /** What is to be done to the headers of the response. */
  get responseHeaders(): readonly HeaderOperation[] {
    return this.#outcome.answer.responseHeaders
  }

  /** Where it denies: the rule and handler that gave the code. */
  get deniedBy(): { readonly rule: string; readonly handler: string } | undefined {
    return this.#outcome.answer.deniedBy
  }

  /** The quotas that were asked for, by name; there are none where the check denies. */
  get quotas(): ReadonlyMap<string, Grant> {
    return this.#outcome.quotas
  }

  /** What it says, for logs. */
  toJSON(): object {
    const { allowed, status, tier, ageMs, validForMs, requestHeaders, responseHeaders, deniedBy, quotas } = this
    const said = { allowed, status, tier, ageMs, validForMs, requestHeaders, responseHeaders, deniedBy }
    return quotas.size === 0 ? said : { ...said, quotas: Object.fromEntries(quotas) }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): object {
    return this.toJSON()
  }

  /** What a caller over HTTP gets where the check denies. */
  denial(): Denial {
    return denialOf(this.#outcome.answer)
  }
}
