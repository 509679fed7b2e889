// What it is worth to send related requests to one node, and to keep answers beside callers: `node load/sharding.ts --help`.

import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'
import { seededRandom } from './random.ts'
import { affinityOf, choosing, type MeshSetup, nodeId, SetClock, simulateMesh } from './sharding/simulated-mesh.ts'
import { TIERS } from './sharding/tiers.ts'

const help = `node load/sharding.ts [OPTIONS]: who answers checks: the caller's sidecar, a node by itself, Redis, or a backend

  --nodes N,…        default 4,16,64; the second table is for 16
  --entries N        answers that a node keeps; default 2500
  --l1-entries N     answers that a sidecar keeps; default 10000
  --callers N        that choose nodes: gateways, or sidecars of 50 services; default 100
  --keys N           default 200000
  --exponent N       of Zipf's law; default 1
  --rate N           requests a second of all callers; default 50000
  --seconds N        that are counted, after as long a time to fill the caches; default 60
  --validity N       seconds for which a verdict holds; default 60
  --seed N           default 1

Time is simulated. Nodes and sidecars are counters with the rule of the real caches for what makes room; what chooses nodes is the code
that sidecars use, a chooser for each caller, which is told twice a second how many checks a second each node answers. "max/mean" is the load
of the busiest node beside the mean. "moved" is the share of keys that another node gets when one of N nodes is killed, and when one is
added, times N.`

const options = {
  nodes: { type: 'string', default: '4,16,64' },
  entries: { type: 'string', default: '2500' },
  'l1-entries': { type: 'string', default: '10000' },
  callers: { type: 'string', default: '100' },
  keys: { type: 'string', default: '200000' },
  exponent: { type: 'string', default: '1' },
  rate: { type: 'string', default: '50000' },
  seconds: { type: 'string', default: '60' },
  validity: { type: 'string', default: '60' },
  seed: { type: 'string', default: '1' },
} as const

/** Keys that are looked at, each once: none is hot. */
const MOVED_KEYS = 50_000
/** By then a node that came has all that is its. */
const SETTLED_MS = 60_000

/** The shares of keys that another node gets when one goes and when one comes, each times the number of nodes. */
function movedOf(size: number, seed: number) {
  const clock = new SetClock()
  const choose = choosing(size, seededRandom(seed), clock)
  const all = () => Array.from({ length: MOVED_KEYS }, (_, key) => choose.choose(affinityOf(key, 50), '', 1)[0])
  const setSize = (count: number, without?: string) => {
    const ids = Array.from({ length: count }, (_, i) => nodeId(i)).filter((id) => id !== without)
    choose.setMembers(ids.map((id) => ({ id })))
    clock.time += SETTLED_MS
    return all()
  }
  const before = all()
  const killed = size > 1 ? setSize(size, nodeId(0)) : before
  const again = setSize(size)
  const added = setSize(size + 1)
  const moved = (one: typeof before, other: typeof before) =>
    (one.filter((node, at) => node !== other[at]).length / MOVED_KEYS) * size
  return { killed: moved(before, killed), back: moved(before, again), added: moved(before, added) }
}

const percent = (share: number) => (100 * share).toFixed(1)

await runCommand({ options, help }, async (values) => {
  const numbers = Object.fromEntries(
    Object.entries(values).map(([name, text]) => [name, Number(text)]),
  ) as unknown as Record<Exclude<keyof typeof options, 'nodes'>, number>
  const sizes = values.nodes.split(',').map(Number)
  for (const [name, value] of [...Object.entries(numbers), ...sizes.map((size) => ['nodes', size] as const)])
    if (name !== 'nodes' && name !== 'help' && !(value >= 0)) throw new Error(`--${name}: must be a number; see --help`)
  const base: MeshSetup = {
    nodes: 16,
    entries: numbers.entries,
    keys: numbers.keys,
    exponent: numbers.exponent,
    perSecond: numbers.rate,
    seconds: numbers.seconds,
    fillSeconds: numbers.seconds,
    validityMs: numbers.validity * 1_000,
    seed: numbers.seed,
    route: 'key',
    callers: numbers.callers,
    services: 0,
    callerEntries: 0,
  }
  say(
    `${base.keys} keys by Zipf's law with exponent ${base.exponent}, ${base.entries} answers a node, ${base.perSecond} requests a second, ` +
      `${base.callers} callers, verdicts valid ${numbers.validity} s`,
  )
  const nodes = sizes.map((size) => {
    const setup = { ...base, nodes: size }
    const any = simulateMesh({ ...setup, route: 'any' })
    const byKey = simulateMesh(setup)
    const { killed, added } = movedOf(size, base.seed)
    return { size, any, byKey, killed, added }
  })
  printTable(
    nodes.map(({ size, any, byKey, killed, added }) => ({
      nodes: size,
      'any node: hits %': percent(any.nodeHits),
      'by key: hits %': percent(byKey.nodeHits),
      'max/mean': byKey.imbalance.toFixed(2),
      'killed: moved × N': killed.toFixed(2),
      'added: moved × N': added.toFixed(2),
    })),
  )
  const tiers = TIERS.map(({ name, ...tier }) => ({
    name,
    ...simulateMesh({ ...base, ...tier, callerEntries: tier.isKeeping ? numbers['l1-entries'] : 0 }),
  }))
  say('\n16 nodes, shares of all checks:')
  printTable(
    tiers.map(({ name, calls, redis, backend, nodeHits, imbalance }) => ({
      '': name,
      'leave the machine %': percent(calls),
      'answered by a node alone %': percent(calls * nodeHits),
      'asked of Redis %': percent(redis),
      'asked of backends %': percent(backend),
      'max/mean': imbalance.toFixed(2),
    })),
  )
  say('goals for 16 nodes: hits by key at least 80 %, max/mean at most 1.4, moved × N at most 1.5')
  await saveResults('sharding', { ...base, nodes, tiers })
})
