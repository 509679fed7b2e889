// What it costs that each of Envoy's threads has answers of its own: `node load/filter-threads.ts --help`.

import { runCommand } from './kit/command.ts'
import { printTable, saveResults } from './output.ts'
import { seededRandom } from './random.ts'
import { Entries } from './sharding/entries.ts'
import { ZipfSampler } from './zipf.ts'

const help = `node load/filter-threads.ts [OPTIONS]: the share of requests that the filter inside Envoy answers, by Envoy's threads

  --threads N,…      default 1,2,4,8,16
  --rates N,…        requests a second of the whole Envoy; default 100,1000,10000
  --entries N        answers that a thread keeps; default 10000
  --keys N           default 20000
  --exponent N       of Zipf's law; default 1
  --validity N       seconds for which an answer holds; default 60
  --seconds N        that are counted, after as long a time to fill the caches; default 120
  --seed N           default 1

Time is simulated, and threads are counters with the filter's rule for what makes room. Each request goes to a thread by chance, as those of many
connections do.`

const options = {
  threads: { type: 'string', default: '1,2,4,8,16' },
  rates: { type: 'string', default: '100,1000,10000' },
  entries: { type: 'string', default: '10000' },
  keys: { type: 'string', default: '20000' },
  exponent: { type: 'string', default: '1' },
  validity: { type: 'string', default: '60' },
  seconds: { type: 'string', default: '120' },
  seed: { type: 'string', default: '1' },
} as const

interface Setup {
  readonly entries: number
  readonly keys: number
  readonly exponent: number
  readonly validity: number
  readonly seconds: number
  readonly seed: number
}

/** The share of requests that one of so many threads has an answer for. */
function hitsOf(threads: number, perSecond: number, setup: Setup): number {
  const { keys, exponent, validity, seconds, seed } = setup
  const random = seededRandom(seed)
  const sampler = new ZipfSampler(keys, exponent, random)
  const caches = Array.from({ length: threads }, () => new Entries(setup.entries))
  const counted = seconds * perSecond
  let hits = 0
  for (let request = 0; request < 2 * counted; request++) {
    const now = request / perSecond
    const cache = caches[Math.floor(random() * threads)] as Entries
    const key = sampler.next()
    if (cache.find(key, now) !== undefined) {
      if (request >= counted) hits++
    } else cache.keep(key, now + validity)
  }
  return hits / counted
}

await runCommand({ options, help }, async ({ threads, rates, ...values }) => {
  const setup = Object.fromEntries(
    Object.entries(values).map(([name, text]) => [name, Number(text)]),
  ) as unknown as Setup
  const [counts, perSeconds] = [threads, rates].map((list) => list.split(',').map(Number)) as [number[], number[]]
  if (![...Object.values(setup), ...counts, ...perSeconds].every((value) => value >= 0))
    throw new Error('all options take numbers; see --help')
  const rows = counts.map((count) => {
    const shares = perSeconds.map((rate) => [`${rate}/s`, hitsOf(count, rate, setup)] as const)
    return { threads: count, ...Object.fromEntries(shares) }
  })
  const shown = rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, share]) => [name, name === 'threads' ? share : `${(100 * share).toFixed(1)} %`]),
    ),
  )
  printTable(shown)
  await saveResults('filter-threads', { ...setup, rows })
})
