// Whether a check costs the same however many keys, connections and rules there are: `node load/flatness.ts --help`.

import { runCommand } from './kit/command.ts'
import { cpuMicros, type Load, type LoadResult, perSecond, unanswered } from './kit/load.ts'
import type { PolicyOptions } from './kit/policy.ts'
import { alternate, medianOf, ratioOf, ratioText } from './kit/pairs.ts'
import { sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { type NodeServer, startNode } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/flatness.ts [--quick] [OPTIONS]: processor time a check by the number of keys, connections and rules

  --series NAME,…         of keys, connections, services (rules, each for another service), prefixes (rules, each for a
                          part of all keys, evenly hit); default all
  --server NODE           default "node"; with flags in quotes: "node --transport native"
  --door NAME             mixer or ext_authz; default ext_authz
  --rounds N              runs of each point, in turn with the others of its series; default 3
  --quick                 shorter runs, and without the largest points

Answers come from the node's own cache. Each point is compared with the first of its series, round by round.`

const options = {
  series: { type: 'string', default: 'keys,connections,services,prefixes' },
  server: { type: 'string', default: 'node' },
  door: { type: 'string', default: 'ext_authz' },
  rounds: { type: 'string', default: '3' },
  quick: { type: 'boolean', default: false },
} as const

interface Point {
  readonly size: number
  readonly keys: number
  readonly connections: number
  /** Calls under way on each connection. */
  readonly depth: number
  readonly rules?: PolicyOptions['rules']
}

/** What comes together is cheaper, so with any number of connections it comes alike. */
const EVEN_DEPTH = 4

interface Series {
  readonly sizes: readonly number[]
  /** The largest ratio to the first point that is flat enough. */
  readonly goal: number
  readonly point: (size: number) => Point
}

/** As many keys as every rule is hit by ten of, where that is more than are asked for anyway. */
const KEYS = 1_000
const USUAL = { keys: KEYS, connections: 4, depth: 16 }

const SERIES: Readonly<Record<string, Series>> = {
  keys: {
    sizes: [100, 1_000, 10_000, 100_000],
    goal: 1.2,
    point: (size) => ({ ...USUAL, size, keys: size }),
  },
  connections: {
    sizes: [1, 10, 100, 1_000],
    goal: 1.2,
    point: (size) => ({ ...USUAL, size, connections: size, depth: EVEN_DEPTH }),
  },
  services: {
    sizes: [10, 100, 1_000, 10_000],
    goal: 1.5,
    point: (size) => ({ ...USUAL, size, rules: { kind: 'service', count: size } }),
  },
  prefixes: {
    sizes: [10, 100, 1_000, 10_000],
    goal: 1.5,
    point: (size) => ({
      ...USUAL,
      size,
      keys: Math.max(KEYS, 10 * size),
      rules: { kind: 'prefix', count: size },
    }),
  },
}

await runCommand({ options, help }, async ({ series: wanted, server, door, rounds: text, quick }) => {
  if (door !== 'ext_authz' && door !== 'mixer') throw new Error(`--door ${door}: must be mixer or ext_authz`)
  const rounds = Number(text)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${text}: a whole number from 1`)
  const seconds = quick ? 2 : 5
  const figures: object[] = []
  const loadOf = (node: NodeServer, point: Point, fill: boolean): Load => ({
    parts: [{ door, address: node.address(door), share: 1 }],
    request: 'mesh',
    keys: { count: point.keys, zipf: 0 },
    pace: { kind: 'closed', inFlight: point.connections * point.depth, seconds: seconds + 1 },
    settleSeconds: 1,
    connections: point.connections,
    timeoutMs: 5_000,
    seed: 1,
    decides: true,
    fill,
    pids: node.pids,
  })

  async function measure(name: string, { sizes, goal, point }: Series): Promise<void> {
    const points = (quick ? sizes.slice(0, -1) : sizes).map(point)
    const nodes: NodeServer[] = []
    try {
      for (const each of points) {
        const node = await startNode(server, { rules: each.rules })
        nodes.push(node)
        // Fills the cache and compiles the code.
        await runLoad(loadOf(node, each, true))
      }
      const hits = async (node: NodeServer) => [
        await node.counter('intermix_checks_total', 'tier="local"'),
        await node.counter('intermix_checks_total'),
      ]
      const before = await Promise.all(nodes.map(hits))
      const all = await alternate(
        points.map((each, index) => () => runLoad(loadOf(nodes[index] as NodeServer, each, false))),
        rounds,
      )
      const after = await Promise.all(nodes.map(hits))
      const micros = all.map((results) => results.map(cpuMicros))
      const rows = points.map(({ size }, index) => {
        const results = all[index] as readonly LoadResult[]
        const [local = 0, checks = 0] = (after[index] ?? []).map(
          (value, which) => value - (before[index]?.[which] ?? 0),
        )
        const ratio = ratioOf(micros[index] ?? [], micros[0] ?? [])
        figures.push({ series: name, size, goal, ratio, cpuMicros: micros[index] })
        return {
          [name]: size,
          'CPU µs a check': medianOf(micros[index] ?? []).toFixed(1),
          'of the first': ratioText(ratio),
          goal: ratio.median <= goal ? 'met' : `missed: ${goal}`,
          'checks/s': Math.round(medianOf(results.map(perSecond))),
          'from the cache': `${((local / Math.max(1, checks)) * 100).toFixed(1)} %`,
          'no answer': results.reduce((sum, result) => sum + unanswered(result), 0),
          wrong: results.reduce((sum, { counts }) => sum + counts.wrong, 0),
        }
      })
      printTable(rows)
      for (const [index, results] of all.entries())
        for (const result of results) sayReasons(`${points[index]?.size} ${name}`, result)
      say('')
    } finally {
      for (const node of nodes) await node.stop()
    }
  }

  for (const name of wanted.split(',')) {
    const series = SERIES[name]
    if (series === undefined) throw new Error(`--series ${name}: must be of ${Object.keys(SERIES).join(', ')}`)
    await measure(name, series)
  }
  await saveResults('flatness', { server, door, rounds, figures })
})
