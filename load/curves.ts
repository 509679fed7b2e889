// How far the miss-ratio curves of running caches can be believed: `node load/curves.ts --help`.

import { CURVE_MULTIPLES, CurveSampler } from '../src/cache/tuning/curve-sampler.ts'
import { standardError } from '../src/cache/tuning/curve.ts'
import type { MiniCacheKind } from '../src/cache/tuning/mini-cache.ts'
import { exactMisses, fingerprintOf, hitsOf, mattsonMisses } from './curves/exact-curve.ts'
import { zipf } from './eviction/traces.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults } from './output.ts'

const help = `node load/curves.ts [--quick] [OPTIONS]: error and cost of miss-ratio curves that are sampled while requests are served

  --requests N   of each trace; default 1500000
  --keys N       default 500000
  --entries N    size of the cache, of which ¼ to 4 × is looked at; default 20000
  --rate SHARE   of keys that are sampled; default 0.03
  --seeds N      default 4
  --quick        one seed, 300000 requests

Popular keys by Zipf's law. Error: mean over sizes of the distance to the same cache asked for all keys, in points of hit ratio;
band: two standard errors, as the samples tell it. lru: how far LRU would be from the cache, by Mattson's algorithm.`

const options = {
  requests: { type: 'string', default: '1500000' },
  keys: { type: 'string', default: '500000' },
  entries: { type: 'string', default: '20000' },
  rate: { type: 'string', default: '0.03' },
  seeds: { type: 'string', default: '4' },
  quick: { type: 'boolean', default: false },
} as const

const mean = (values: readonly number[]) => values.reduce((one, two) => one + two, 0) / values.length
const distance = (one: readonly number[], two: readonly number[]) =>
  mean(one.map((x, i) => Math.abs(x - (two[i] ?? 0))))

await runCommand({ options, help }, async ({ requests, keys, entries, rate, seeds, quick }) => {
  const length = quick ? 300_000 : Number(requests)
  const size = Number(entries)
  const sizes = CURVE_MULTIPLES.map((multiple) => multiple * size)
  const rows: Record<string, string | number>[] = []
  for (const kind of ['answers', 'verdicts'] as const satisfies MiniCacheKind[]) {
    for (const exponent of [0.8, 1, 1.2]) {
      const errors: number[] = []
      const bands: number[] = []
      const costs: number[] = []
      let lru = 0
      let exactAt1 = 0
      for (let seed = 1; seed <= (quick ? 1 : Number(seeds)); seed++) {
        const trace = zipf(length, exponent, seed, Number(keys))
        const exact = exactMisses(kind, trace, sizes)
        if (seed === 1) lru = distance(mattsonMisses(trace, sizes), exact)
        exactAt1 = exact[3] ?? 0
        const prints = trace.map(fingerprintOf)
        const hits = hitsOf(kind, trace, size)
        const sampler = new CurveSampler({ kind, now: () => 0, rate: Number(rate), bytes: size })
        const before = process.cpuUsage()
        for (let at = 0; at < length; at++) {
          const print = prints[at] as number
          if (hits[at] === 0) sampler.stored(print, 1, Number.POSITIVE_INFINITY, true, undefined)
          else if (sampler.found(print)) sampler.sampled(print, 1, Number.POSITIVE_INFINITY)
        }
        const { user, system } = process.cpuUsage(before)
        costs.push((1_000 * (user + system)) / length)
        const { points } = sampler.curve()
        const misses = points.map(({ miss }) => miss)
        errors.push(100 * distance(misses, exact))
        bands.push(100 * mean(points.map(({ replicas }) => 2 * standardError(replicas))))
      }
      rows.push({
        cache: kind,
        zipf: exponent,
        'hits %': (100 * (1 - exactAt1)).toFixed(1),
        error: mean(errors).toFixed(2),
        worst: Math.max(...errors).toFixed(2),
        band: mean(bands).toFixed(2),
        'ns a request': mean(costs).toFixed(0),
        lru: (100 * lru).toFixed(1),
      })
    }
  }
  printTable(rows)
  await saveResults('curves', { rows })
})
