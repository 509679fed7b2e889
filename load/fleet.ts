// What a fleet costs by its size, up to sizes that nobody can measure here: `node load/fleet.ts --help`.

import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { besideSimulation } from './fleet/beside-simulation.ts'
import { fleetPanels } from './fleet/chart.ts'
import { ARMS, fleetOf, type FleetShape } from './fleet/fleet.ts'
import { runCommand } from './kit/command.ts'
import { panelsSvg } from './kit/drawing.ts'
import { printTable, saveResults, say } from './output.ts'
import { TIERS } from './sharding/tiers.ts'

const help = `node load/fleet.ts [OPTIONS]: who answers, and what it takes, from one node to --nodes, by a model

  --nodes N                 the largest fleet; default 1000
  --sidecars-per-node N     default 100
  --requests N              a second, of each sidecar; default 1000
  --sidecars-per-service N  on average; default 10
  --keys N                  of each service; default 20000
  --node-entries N          default 100000
  --l1-entries N            default 10000
  --validity N              seconds; default 60
  --nodes-per-tenant N      nodes that one sidecar asks; default 8
  --no-check                leaves out the comparison with simulated small meshes, which takes a minute

The model is Che's approximation, tier by tier (load/fleet/model.ts). Drawing: load/results/fleet.svg.`

const options = {
  nodes: { type: 'string', default: '1000' },
  'sidecars-per-node': { type: 'string', default: '100' },
  requests: { type: 'string', default: '1000' },
  'sidecars-per-service': { type: 'string', default: '10' },
  keys: { type: 'string', default: '20000' },
  'node-entries': { type: 'string', default: '100000' },
  'l1-entries': { type: 'string', default: '10000' },
  validity: { type: 'string', default: '60' },
  'nodes-per-tenant': { type: 'string', default: '8' },
  'no-check': { type: 'boolean', default: false },
} as const

/** Small enough to be simulated in seconds, in proportion to `node load/sharding.ts`. */
const SMALL = {
  nodes: 16,
  entries: 500,
  keys: 40_000,
  exponent: 1,
  perSecond: 10_000,
  seconds: 60,
  fillSeconds: 60,
  validityMs: 60_000,
  seed: 1,
  callers: 100,
}
const SMALL_L1 = 2_000
/** Beyond such a difference the model is told not to fit. */
const FITS = 0.03

function checkModel() {
  const rows = TIERS.map(({ name, isKeeping, ...tier }) => {
    const setup = { ...SMALL, ...tier, callerEntries: isKeeping ? SMALL_L1 : 0 }
    return { name, ...besideSimulation(setup) }
  })
  const tiers = ['calls', 'redis', 'backend'] as const
  say(`model beside simulation: ${SMALL.nodes} nodes, ${SMALL.keys} keys, ${SMALL.perSecond} requests a second`)
  printTable(
    rows.map(({ name, simulated, modelled }) => ({
      '% of all requests': name,
      ...Object.fromEntries(
        tiers.map((tier) => [
          { calls: 'leave the machine', redis: 'asked of Redis', backend: 'asked of backends' }[tier],
          `${percent(modelled[tier])} (simulated ${percent(simulated[tier])})`,
        ]),
      ),
    })),
  )
  for (const { name, simulated, modelled } of rows)
    for (const tier of tiers) {
      const off = modelled[tier] / simulated[tier] - 1
      if (Math.abs(off) > FITS) say(`does not fit: ${name}, ${tier}: ${(100 * off).toFixed(1)} % off`)
    }
  return rows
}

const percent = (share: number) => (100 * share).toFixed(2)
/** Three digits and a unit. */
function short(value: number): string {
  const [divisor, unit] = value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : value >= 1e3 ? [1e3, 'k'] : [1, '']
  return `${Number((value / divisor).toPrecision(3))}${unit}`
}

await runCommand({ options, help }, async (values) => {
  const number = (name: Exclude<keyof typeof options, 'no-check'>, least = 1) => {
    const value = Number(values[name])
    if (!(value >= least)) throw new Error(`--${name} ${values[name]}: must be a number from ${least}`)
    return value
  }
  const shape: FleetShape = {
    sidecarsPerNode: number('sidecars-per-node'),
    perSidecar: number('requests'),
    sidecarsPerService: number('sidecars-per-service'),
    keysPerService: number('keys'),
    nodeEntries: number('node-entries'),
    l1Entries: number('l1-entries'),
    validitySeconds: number('validity'),
    nodesPerTenant: number('nodes-per-tenant', 0),
  }
  const check = values['no-check'] ? [] : checkModel()
  const steps = Math.ceil(Math.log10(number('nodes')) * 4)
  const sizes = Array.from({ length: steps + 1 }, (_, i) => Math.round(number('nodes') ** (i / Math.max(1, steps))))
  const arms = ARMS.map((arm) => ({ arm, fleets: sizes.map((size) => fleetOf(shape, size, arm)) }))
  for (const { arm, fleets } of arms) {
    say(`\n${arm}:`)
    printTable(
      fleets
        .filter(({ nodes }, i) => i % 4 === 0 || nodes === sizes.at(-1))
        .map(({ nodes, sidecars, requests, calls, redis, backend, cores, memory, streams }) => ({
          nodes,
          sidecars: short(sidecars),
          'requests/s': short(requests),
          'L1 hits %': percent(Math.max(0, 1 - calls / requests)),
          'node hits %': percent(1 - redis / calls),
          'Redis reads/s': short(redis),
          'backend calls/s': short(backend),
          'cores: sidecars + nodes + Redis': `${short(cores.sidecars)} + ${short(cores.nodes)} + ${short(cores.redis)}`,
          'GB: sidecars + nodes + Redis': `${short(memory.sidecars)} + ${short(memory.nodes)} + ${short(memory.redis)}`,
          'streams a node': arm === 'no sidecars' ? '–' : short(streams),
        })),
    )
  }
  const folder = fileURLToPath(new URL('results/', import.meta.url))
  await mkdir(folder, { recursive: true })
  const title = `${shape.sidecarsPerNode} sidecars a node, ${shape.perSidecar} requests/s each, verdicts valid ${shape.validitySeconds} s`
  await writeFile(`${folder}fleet.svg`, panelsSvg(title, fleetPanels(arms)))
  say('\ndrawing: load/results/fleet.svg')
  await saveResults('fleet', { shape, check, arms })
})
