// Shadow rules decide nothing (the oracle does not ask them) and are counted: one verdict for each question of theirs, and one of their
// quotas where they charge any.

import type { ReadableMeter } from '../redis/support.ts'
import type { Judged } from './judge.ts'
import { shadowsOf } from './judge-charges.ts'
import { evaluateRules } from './oracle/answer.ts'
import { ruleName } from './oracle/model.ts'
import { rulesFor } from './oracle/rules.ts'

interface Range {
  least: number
  most: number
}

const UNCHARGED = { mayFail: false, outcomes: new Map() }
/** Of one rule for one check: two actions, with one instance each, and one of its quotas. */
const MOST_VERDICTS = 3

export class ShadowCount {
  /** By rule: how many verdicts should have been counted. Where generators may have failed, there are several numbers. */
  readonly #expected = new Map<string, Range>()

  add({ config, possibilities, chargesShadows }: Judged): void {
    const shadows = config.rules.filter(({ mode }) => mode === 'shadow')
    if (shadows.length === 0) return
    const counts = possibilities.map((possibility) => {
      const { bag } = possibility
      const rules = rulesFor(config.rules, bag).filter(({ mode }) => mode === 'shadow')
      const asked = evaluateRules(config, rules, bag).steps.map(({ rule }) => rule)
      const charging = chargesShadows ? shadowsOf(config, possibility, UNCHARGED).filter(({ isPaid }) => isPaid) : []
      return [...asked, ...charging.map(({ rule }) => rule)]
    })
    for (const rule of shadows) {
      const found = counts.map((rules) => rules.filter((other) => other === rule).length)
      const range = this.#expected.get(ruleName(rule)) ?? { least: 0, most: 0 }
      range.least += Math.min(...found)
      range.most += Math.max(...found)
      this.#expected.set(ruleName(rule), range)
    }
  }

  /**
   * Says which rule was counted otherwise; `undefined` where none was.
   * @param others checks of which nothing was added
   */
  problem(meters: readonly ReadableMeter[], others: number): string | undefined {
    for (const [rule, { least, most: added }] of this.#expected) {
      const most = added + others * MOST_VERDICTS
      const counted = meters.flatMap((meter) =>
        ['allow', 'deny', 'unknown'].map((verdict) => meter.value('shadow_verdicts_total', rule, verdict)),
      )
      const total = counted.reduce((sum, count) => sum + count, 0)
      if (total < least || total > most) {
        return `the shadow rule ${rule} counted ${total} verdicts, and should have ${least} to ${most}`
      }
    }
    return undefined
  }
}
