// What a check costs as rules grow in number, where the traffic is spread evenly over them and one rule matches each
// request: `node test/bench/many-rules.ts [kind ...]`. With a prefix or a suffix a check must cost at most 1.5 times as
// much under a thousand and ten thousand rules as under ten.

import { z } from 'zod'
import { type AnyAdapter, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../helpers/clock.ts'
import { createSimulatedNode, type SimulatedNode } from '../properties/simulated-node.ts'

interface Kind {
  match(i: number): string
  /** The text that the rule's match fits. */
  value(i: number): string
}

const KINDS: Readonly<Record<string, Kind>> = {
  prefix: { match: (i) => `a.startsWith("/api/v${i}/")`, value: (i) => `/api/v${i}/users/17` },
  glob: { match: (i) => `match(a, "/api/v${i}/*") && b == "GET"`, value: (i) => `/api/v${i}/users/17` },
  suffix: { match: (i) => `a.endsWith(".v${i}.example.com")`, value: (i) => `users.v${i}.example.com` },
  // No index serves these.
  pattern: { match: (i) => `"/v${i}/".matches(a)`, value: (i) => `/api/v${i}/users/17` },
}
const SIZES = (process.env['SIZES'] ?? '10,100,1000,10000').split(',').map(Number)
const CHECKS = 20_000
const RUNS = 3

const ALLOWS: AnyAdapter = defineAdapter({
  name: 'allows',
  description: 'allows everything for an hour',
  templates: ['checknothing'],
  config: z.strictObject({}),
  doesIo: false,
  create: () => {
    const verdict = { status: { code: 0, message: '' }, validForMs: 3_600_000, validUses: 2_000_000_000 }
    return { check: { checknothing: () => verdict } }
  },
})

const object = (kind: string, name: string, spec: object) =>
  JSON.stringify({
    apiVersion: 'config.istio.io/v1alpha2',
    kind,
    metadata: { name, namespace: 'istio-system' },
    spec,
  })

interface Subject {
  readonly node: SimulatedNode
  readonly kind: Kind
  readonly count: number
}

async function subjectOf(kind: Kind, count: number): Promise<Subject> {
  const clock = new FakeClock()
  const objects = [
    object('attributemanifest', 'all', { attributes: { a: 'STRING', b: 'STRING' } }),
    object('handler', 'h', { compiledAdapter: 'allows' }),
    object('instance', 'i', { compiledTemplate: 'checknothing' }),
    ...Array.from({ length: count }, (_, i) =>
      object('rule', `r${i}`, { match: kind.match(i), actions: [{ handler: 'h', instances: ['i'] }] }),
    ),
  ]
  const loaded = parseConfigText('bench.yaml', objects.join('\n---\n'))
  const { snapshot, problems } = compileSnapshot(loaded, { adapters: new Map([['allows', ALLOWS]]) })
  if (snapshot === undefined) throw new Error(JSON.stringify(problems.slice(0, 3)))
  const bounds = { maxEntries: 1_000_000, maxBytes: 128 * 1024 * 1024 }
  const common = { clock, random: () => 0.5, link: undefined, prefix: 'bench', nodeId: 'n', bounds }
  const node = await createSimulatedNode(common, snapshot)
  return { node, kind, count }
}

/** Microseconds of processor time per check; the request is made anew for each, as a door does. */
async function measure({ node, kind, count }: Subject): Promise<number> {
  const options = { timeoutMs: 1_000, references: false }
  const checks = Math.min(CHECKS, Math.max(2 * count, Math.floor(3e7 / count)))
  const start = process.cpuUsage()
  let at = 0
  for (let i = 0; i < checks; i++) {
    // A step without a common divisor with the sizes: each rule's turn comes equally often, in no order.
    at = (at + 7_919) % count
    const outcome = node.engine.check(MapBag.of({ a: kind.value(at), b: 'GET' }), options)
    if (outcome instanceof Promise) await outcome
  }
  const { user, system } = process.cpuUsage(start)
  return (user + system) / checks
}

const kinds = process.argv.slice(2)
for (const name of kinds.length === 0 ? Object.keys(KINDS) : kinds) {
  const kind = KINDS[name]
  if (kind === undefined) throw new Error(`no kind ${name}: ${Object.keys(KINDS).join(', ')}`)
  const subjects: Subject[] = []
  for (const size of SIZES) subjects.push(await subjectOf(kind, size))
  const runs: number[][] = []
  // In turns, so that all see the machine in the same states; the first turn fills the caches.
  for (let run = 0; run <= RUNS; run++) {
    const turn: number[] = []
    for (const subject of subjects) turn.push(await measure(subject))
    if (run > 0) runs.push(turn)
  }
  const best = SIZES.map((_, i) => Math.min(...runs.map((turn) => turn[i] ?? Number.NaN)))
  const columns = best.map((time, i) => `${SIZES[i]}: ${time.toFixed(2)} µs (×${(time / (best[0] ?? 1)).toFixed(2)})`)
  console.log(`${name}: ${columns.join(', ')}`)
}
process.exit(0)
