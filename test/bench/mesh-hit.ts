// What a check costs a node whose verdict another node has fetched: `node test/bench/mesh-hit.ts`. Nothing is kept in the
// process, so that each check asks Redis. Processor time of this process alone, in microseconds a check.

import { z } from 'zod'
import { type AnyAdapter, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startRedis } from '../helpers/redis.ts'
import { createSimulatedNode } from '../properties/simulated-node.ts'
import { testLink, untilUp } from '../redis/support.ts'

const KEYS = 1_000
const CHECKS = 20_000
const AT_ONCE = 64
const RUNS = 5

const ALLOWS: AnyAdapter = defineAdapter({
  name: 'allows',
  description: 'allows everything for an hour',
  templates: ['listentry'],
  config: z.strictObject({}),
  doesIo: true,
  create: () => ({
    check: {
      listentry: async () => ({ status: { code: 0, message: '' }, validForMs: 3_600_000, validUses: 2_000_000_000 }),
    },
  }),
})

const object = (kind: string, name: string, spec: string) =>
  `\napiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: {name: ${name}, namespace: istio-system}\nspec: ${spec}\n`
const objects = [
  object('attributemanifest', 'all', '{attributes: {a: STRING}}'),
  object('handler', 'h', '{compiledAdapter: allows}'),
  object('instance', 'i', '{compiledTemplate: listentry, params: {value: a}}'),
  object('rule', 'r', '{actions: [{handler: h, instances: [i]}]}'),
]
const { snapshot } = compileSnapshot(parseConfigText('bench.yaml', objects.join('---')), {
  adapters: new Map([['allows', ALLOWS]]),
})
if (snapshot === undefined) throw new Error('the config does not compile')
const redis = await startRedis()
const { link } = testLink(redis.url, 2_000, 'cache')
await untilUp(link)
const common = { clock: new FakeClock(), random: () => 0.5, link, prefix: 'bench' }
const node = await createSimulatedNode({ ...common, nodeId: 'n', answers: false, local: false }, snapshot)
let at = 0
const tiers = new Map<string, number>()

async function ask(checks: number): Promise<void> {
  for (let i = 0; i < checks; i++) {
    const { answer } = await node.engine.check(MapBag.of({ a: `key ${at++ % KEYS}` }), { timeoutMs: 1_000 })
    tiers.set(answer.tier, (tiers.get(answer.tier) ?? 0) + 1)
  }
}

const ask64 = (checks: number) => Promise.all(Array.from({ length: AT_ONCE }, () => ask(checks / AT_ONCE)))
await ask64(KEYS * 2)
tiers.clear()
const times: number[] = []
for (let run = 0; run < RUNS; run++) {
  const start = process.cpuUsage()
  await ask64(CHECKS)
  const { user, system } = process.cpuUsage(start)
  times.push((user + system) / CHECKS)
}
console.log(`${times.map((time) => time.toFixed(1)).join(', ')} µs a check, tiers ${JSON.stringify([...tiers])}`)
link.close()
await redis.stop()
process.exit(0)
