// What a check costs in the node itself: answered from the answer cache, from cached verdicts, and by evaluation alone.
// `node test/bench/check-engine.ts`

import { bench, run, summary } from 'mitata'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../helpers/clock.ts'
import { createSimulatedNode } from '../properties/simulated-node.ts'
import { World, worldAdapters } from '../properties/world.ts'

const object = (kind: string, name: string, spec: string) =>
  `\napiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: {name: ${name}, namespace: istio-system}\nspec: ${spec}\n`

const clock = new FakeClock()
const world = new World(clock)
const MANIFEST = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: all, namespace: istio-system}
spec: {attributes: {a: STRING, b: STRING, m: STRING_MAP, source.principal: STRING}}
`
const objects = [
  MANIFEST,
  object('handler', 'h', '{compiledAdapter: computed, params: {salt: 1}}'),
  object('instance', 'i', `{compiledTemplate: listentry, params: {value: 'm["k"] | "none"'}}`),
  object('rule', 'r', `{match: 'a.startsWith("/api/") && b == "GET"', actions: [{handler: h, instances: [i]}]}`),
]
const loaded = parseConfigText('bench.yaml', objects.join('---'))
const { snapshot, problems } = compileSnapshot(loaded, { adapters: worldAdapters(world) })
if (snapshot === undefined) throw new Error(JSON.stringify(problems))
const common = { clock, random: () => 0.5, link: undefined, prefix: 'bench', nodeId: 'n' }
const cached = await createSimulatedNode(common, snapshot)
const uncached = await createSimulatedNode({ ...common, answers: false }, snapshot)
const bag = MapBag.of({ a: '/api/books/17', b: 'GET', m: new Map([['k', 'v1']]), 'source.principal': 'amy' })
const options = { timeoutMs: 1_000 }
// Files the verdict that the cache then answers with.
await cached.engine.check(bag, options)

summary(() => {
  bench('answer cache', () => cached.engine.check(bag, options))
  bench('evaluation', () => uncached.engine.check(bag, options))
})
await run()
process.exit(0)
