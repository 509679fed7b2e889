// Measures how the cost of a request grows with the number of rules: `node test/bench/rule-index.ts`.
// 10,000 rules of which five can match must cost at most 1.5 times as much as ten of which five can.

import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { compileGood, DENY, MANIFEST } from '../config/compile.ts'

const MATCHING = 5
const ROUNDS = 200_000
const RUNS = 7

function selectorFor(count: number): RuleSelector {
  const rules = Array.from({ length: count }, (_, i) => {
    const service = Math.floor(i / MATCHING)
    const match = `destination.service.name == "s${service}" && request.path.startsWith("/${i % MATCHING}")`
    return JSON.stringify({
      apiVersion: 'config.istio.io/v1alpha2',
      kind: 'rule',
      metadata: { name: `r${i}` },
      spec: { match, actions: [{ handler: 'deny', instances: ['nothing'] }] },
    })
  })
  return atOnce(RuleSelector.build(compileGood(MANIFEST, DENY, ...rules)))
}

/** Nanoseconds for choosing the candidates of a request and evaluating their matches. */
function measure(selector: RuleSelector): number {
  const bag = MapBag.of({ 'destination.service.name': 's1', 'request.path': '/3/x', 'destination.namespace': 'prod' })
  let matches = 0
  const start = process.hrtime.bigint()
  for (let i = 0; i < ROUNDS; i++) {
    for (const rule of selector.check(bag).rules) if (rule.match?.evaluate(bag) === true) matches++
  }
  const elapsed = Number(process.hrtime.bigint() - start) / ROUNDS
  if (matches !== ROUNDS) throw new Error(`${matches} matches in ${ROUNDS} rounds`)
  return elapsed
}

const [ten, tenThousand] = [selectorFor(10), selectorFor(10_000)]
// In turns, so that both see the machine in the same states.
const runs = Array.from({ length: RUNS }, () => [measure(ten), measure(tenThousand)] as const)
const few = Math.min(...runs.map(([time]) => time))
const many = Math.min(...runs.map(([, time]) => time))
const ratio = many / few
console.log(
  `10 rules: ${few.toFixed(0)} ns; 10,000 rules: ${many.toFixed(0)} ns; ratio ${ratio.toFixed(2)} (at most 1.5)`,
)
process.exitCode = ratio <= 1.5 ? 0 : 1
