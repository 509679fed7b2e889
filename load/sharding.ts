// What it is worth to send related requests to one node: `node load/sharding.ts --help`.

import { LRUCache } from 'lru-cache'
import { ChooseNode } from '../src/client/nodes/choose-node.ts'
import { systemClock } from '../src/kernel/system-clock.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'
import { seededRandom } from './random.ts'
import { ZipfSampler } from './zipf.ts'

const help = `node load/sharding.ts [OPTIONS]: hits of the nodes' own caches, with requests sent to any node and by their keys

  --nodes N,…        default 4,16,64
  --entries N        that a node keeps; default 2500
  --keys N           default 200000
  --exponent N       of Zipf's law; default 1
  --requests N       default 2000000, after half as many to fill the caches
  --seed N           default 1

Nodes are counters with an LRU cache each; what chooses among them is the code that sidecars use. "max/mean" is the load of the busiest
node beside the mean, "moved" the share of keys that another node gets when one of N nodes goes, times N.`

const options = {
  nodes: { type: 'string', default: '4,16,64' },
  entries: { type: 'string', default: '2500' },
  keys: { type: 'string', default: '200000' },
  exponent: { type: 'string', default: '1' },
  requests: { type: 'string', default: '2000000' },
  seed: { type: 'string', default: '1' },
} as const

interface Setup {
  readonly size: number
  readonly entries: number
  readonly keys: number
  readonly exponent: number
  readonly requests: number
  readonly seed: number
}

type Route = (key: number) => string

const idOf = (index: number) => `node-${index}`

function choosing(size: number, seed: number): ChooseNode {
  const choose = new ChooseNode({ clock: systemClock, random: seededRandom(seed + 1) })
  choose.setMembers(Array.from({ length: size }, (_, i) => ({ id: idOf(i) })))
  return choose
}

const nameOf = (key: number) => `service-${key % 50} caller-${key}`
const bySharding =
  (choose: ChooseNode): Route =>
  (key) =>
    choose.choose(nameOf(key), '', 1)[0] ?? ''

function atRandom({ size, seed }: Setup): Route {
  const random = seededRandom(seed + 1)
  return () => idOf(Math.floor(random() * size))
}

function hitsOf(route: Route, { size, entries, keys, exponent, requests, seed }: Setup) {
  const sampler = new ZipfSampler(keys, exponent, seededRandom(seed))
  const caches = new Map<string, LRUCache<number, true>>()
  const loads = new Map<string, number>()
  let hits = 0
  for (let i = -requests / 2; i < requests; i++) {
    const key = sampler.next()
    const node = route(key)
    let cache = caches.get(node)
    if (cache === undefined) caches.set(node, (cache = new LRUCache({ max: entries })))
    const isHit = cache.get(key) === true
    if (!isHit) cache.set(key, true)
    if (i < 0) continue
    loads.set(node, (loads.get(node) ?? 0) + 1)
    if (isHit) hits++
  }
  return { hits: hits / requests, imbalance: Math.max(...loads.values()) / (requests / size) }
}

/** The share of keys that move when a node goes, beside the share of keys that it had. */
function movedOf({ size, keys, seed }: Setup): number {
  const choose = choosing(size, seed)
  // Each key once: none is hot.
  const all = Array.from({ length: Math.min(keys, 50_000) }, (_, key) => key)
  const before = all.map(bySharding(choose))
  choose.setMembers(Array.from({ length: size - 1 }, (_, i) => ({ id: idOf(i) })))
  const after = all.map(bySharding(choose))
  return (after.filter((node, at) => node !== before[at]).length / all.length) * size
}

await runCommand({ options, help }, async (values) => {
  const [entries, keys, exponent, requests, seed] = [
    values.entries,
    values.keys,
    values.exponent,
    values.requests,
    values.seed,
  ].map(Number) as [number, number, number, number, number]
  if (!(entries > 0 && keys > 0 && exponent >= 0 && requests > 0))
    throw new Error('all options take numbers; see --help')
  const rows = values.nodes
    .split(',')
    .map(Number)
    .map((size) => {
      const setup = { size, entries, keys, exponent, requests, seed }
      const random = hitsOf(atRandom(setup), setup)
      const sharded = hitsOf(bySharding(choosing(size, seed)), setup)
      return {
        nodes: size,
        'any node: hits %': (100 * random.hits).toFixed(1),
        'by key: hits %': (100 * sharded.hits).toFixed(1),
        'max/mean': sharded.imbalance.toFixed(2),
        'moved × N': size > 1 ? movedOf(setup).toFixed(2) : '-',
      }
    })
  say(`${keys} keys by Zipf's law with exponent ${exponent}, ${entries} entries a node, ${requests} requests`)
  printTable(rows)
  await saveResults('sharding', { entries, keys, exponent, requests, seed, rows })
})
