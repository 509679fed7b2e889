// What a request held that has ended: the instances that rules charged for it until its end, by the ids of these charges.

import type { EndedCharge } from '../adapter-kit/define-adapter.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { PolicyState } from './handler-table.ts'
import type { PolicyRequest } from './policy-request.ts'
import { demandId, ownIdOf } from './quota.ts'
import { matchRule } from './rule-match.ts'
import { quotasOf } from './rule-quotas.ts'
import type { RunningHandler } from './running-handler.ts'

/** A charge that a handler is to hear the end of. */
export interface Ended {
  readonly running: RunningHandler
  readonly charge: EndedCharge
}

/** Which quotas of a config are held until a request ends. */
export class HeldQuotas {
  readonly #ids = new WeakMap<PolicyState, ReadonlySet<string>>()

  /** As `quotaId` has them. */
  of(state: PolicyState): ReadonlySet<string> {
    let ids = this.#ids.get(state)
    if (ids === undefined) this.#ids.set(state, (ids = new Set(state.snapshot.rules.flatMap(heldOf))))
    return ids
  }
}

function heldOf(rule: RuleConfig): string[] {
  return quotasOf(rule).flatMap(({ action: { handler }, config, id }) =>
    handler.adapter.holdsUntilEnd?.(config.name, handler.params) === true ? [id] : [],
  )
}

/** Mixer reports a TCP connection when it opens and as it goes on, too. */
export function hasEnded(record: AttributeBag): boolean {
  const event = record.get('connection.event')
  return event !== 'open' && event !== 'continue'
}

/**
 * What a record says has ended. Where it is unknown whether a rule applied, its quota is among it: what was not charged has no
 * place to give back.
 * @param held quotas that are held until the end
 * @param failed hears of each that cannot be told from the record
 */
export function endedCharges(
  { bag, plan, state }: Pick<PolicyRequest, 'bag' | 'plan' | 'state'>,
  held: ReadonlySet<string>,
  failed: () => void,
): Ended[] {
  const found = new Map<string, Ended>()
  for (const rule of [...plan.charging, ...plan.shadowCharging]) {
    const concerned = quotasOf(rule).filter(({ id }) => held.has(id))
    if (concerned.length === 0 || matchRule(rule, bag, undefined, () => undefined) === false) continue
    for (const { action, config, id } of concerned) {
      const running = state.handlers.get(action.handler.name)
      if (found.has(id) || running === undefined) continue
      const instance = config.build(bag)
      const deduplicationId = instance instanceof EvaluationError ? '' : demandId(ownIdOf(instance))
      if (instance instanceof EvaluationError || deduplicationId === '') failed()
      else found.set(id, { running, charge: { instance, deduplicationId } })
    }
  }
  return [...found.values()]
}
