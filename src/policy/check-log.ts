// What a node that logs at debug level tells of single checks: denials, and verdicts that nobody gave. Names and codes
// only: what a request holds is not for the log.

import type { Logger } from '../kernel/ports.ts'
import { codeName } from '../kernel/status.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { SettledPart } from './combine.ts'

export class CheckLog {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  /** Tells of an answer that denies. */
  denied({ status, tier, deniedBy }: Omit<Answer, 'referenced'>): void {
    this.#log.debug({ ...deniedBy, code: codeName(status.code), tier }, 'check denied')
  }

  /** Tells of a verdict that no tier could give, and what its rule makes of it. */
  unknown({ rule, handler, instance, outcome: { error } }: SettledPart): void {
    if (error === undefined) return
    const { code, message } = error
    // The message of an expression that failed may hold what it failed on.
    const reason = code === 'INTERNAL' ? {} : { reason: message }
    this.#log.debug(
      { rule: rule.name, handler, instance, code, ...reason, failPolicy: rule.failPolicy },
      'no verdict: the fail policy of the rule decides',
    )
  }
}
