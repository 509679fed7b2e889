// What a second region costs and allows: `node load/regions.ts [--quick] [--round-trips 80,200]`. One row for each way to share
// Redis and each round trip; what its columns mean stands in load/README.md.

import type { Intermix } from '../test/whole/intermix.ts'
import { check, metric, report, revoke } from '../test/whole/regions/asks.ts'
import { type Regions, startRegions, type Topology } from '../test/whole/regions/world.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults } from './output.ts'
import { quantiles } from './statistics.ts'

const HELP = `node load/regions.ts [flags]

  --round-trips MS,…   from one region to the other and back (default 2,80,200)
  --quick              a tenth of the calls`

const TOPOLOGIES: readonly Topology[] = ['shared', 'apart']
const UNTIL_MS = 60_000

let serial = 0

/** Milliseconds that each of `count` calls took, one after the other: the median and the 99th percentile. */
async function timed(count: number, call: () => Promise<unknown>): Promise<string> {
  const took: number[] = []
  for (let i = 0; i < count; i++) {
    const startedAt = performance.now()
    await call()
    took.push(performance.now() - startedAt)
  }
  const [p50, p99] = quantiles(Float64Array.from(took), 0.5, 0.99)
  return `${p50.toFixed(0)} / ${p99.toFixed(0)}`
}

/** Seconds until it holds. */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<string> {
  const startedAt = performance.now()
  while (!(await holds())) {
    if (performance.now() - startedAt > UNTIL_MS) throw new Error(`not within ${UNTIL_MS} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return ((performance.now() - startedAt) / 1_000).toFixed(1)
}

const inTouch = async (node: Intermix) => (await metric(node, 'intermix_revocations_in_touch')) === 1

/** Asks one node of the region for a user whom the other has asked for. */
async function askAfterSibling({ away: [one, two] }: Regions): Promise<void> {
  const user = `user-${++serial}`
  await check(one, '/rights', user)
  await check(two, '/rights', user)
}

async function revoked(node: Intermix, everybody: number): Promise<void> {
  const { confirmed, unconfirmed } = await revoke(node, `user-${++serial}`)
  if (confirmed.length !== everybody) throw new Error(`a revocation was not confirmed by ${unconfirmed.join(', ')}`)
}

/** Sends a report of five records; `acknowledged` has those that the node answered for. */
async function send(node: Intermix, acknowledged: string[]): Promise<void> {
  const names = Array.from({ length: 5 }, () => `/record-${++serial}-`)
  if ((await report(node, names)) === 202) acknowledged.push(...names)
}

async function measure(topology: Topology, roundTripMs: number, calls: number, regions: Regions) {
  const { home, away, between } = regions
  const [one, two] = away
  const acknowledged: string[] = []
  await until(() => inTouch(two), 'in touch')
  await timed(20, () => askAfterSibling(regions))
  await send(one, acknowledged)
  const calm = {
    'queue Redis': topology,
    'round trip': roundTripMs,
    'check, own cache': await timed(calls, () => check(one, '/rights', 'user-1')),
    'new key, both nodes': await timed(calls, () => askAfterSibling(regions)),
    quota: await timed(calls, () => check(one, '/limited', `user-${++serial}`, 1)),
    'report queued': await timed(calls, () => send(one, acknowledged)),
    'revoked at home': await timed(Math.ceil(calls / 10), () => revoked(home, 3)),
    'revoked away': await timed(Math.ceil(calls / 10), () => revoked(one, 3)),
  }
  between.setBlackhole(true)
  const outOfTouch = await until(async () => !(await inTouch(one)), 'out of touch')
  const cut = await timed(calls, () => send(one, acknowledged))
  between.setBlackhole(false)
  const caughtUp = await until(() => inTouch(one), 'in touch again')
  const missing = () => {
    const here = new Set(regions.arrived())
    return acknowledged.filter((name) => !here.has(name)).length
  }
  await until(() => missing() === 0, 'every record has arrived')
  const arrived = regions.arrived()
  return {
    ...calm,
    'cut: report': cut,
    'out of touch s': outOfTouch,
    'caught up s': caughtUp,
    lost: missing(),
    twice: arrived.length - new Set(arrived).size,
  }
}

await runCommand(
  {
    options: { 'round-trips': { type: 'string', default: '2,80,200' }, quick: { type: 'boolean', default: false } },
    help: HELP,
  },
  async (options) => {
    const roundTrips = options['round-trips'].split(',').map(Number)
    if (roundTrips.some((ms) => !(ms >= 0 && ms <= 400)))
      throw new Error('--round-trips: numbers from 0 to 400 are needed')
    const rows = []
    for (const topology of TOPOLOGIES) {
      for (const roundTripMs of roundTrips) {
        const regions = await startRegions({ topology, roundTripMs, flags: [] })
        try {
          rows.push(await measure(topology, roundTripMs, options.quick ? 20 : 200, regions))
        } finally {
          await regions.stop()
        }
      }
    }
    printTable(rows)
    await saveResults('regions', { rows })
  },
)
