// A backend that is away for an hour, before handlers that share the process with another one: an hour of a fake clock.

import { describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { pause } from '../../src/kernel/deadline.ts'
import { InProcessPipeline } from '../../src/telemetry/in-process-pipeline.ts'
import { FakeClock } from '../helpers/clock.ts'
import { seededRandom } from '../../load/random.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { batchTo, dispatchByName, jsonFormats, snapshotOf } from '../workers/support.ts'

const HOUR_MS = 3_600_000
const EVERY_MS = 10_000
const RECORDS = 100
const REPORTS = HOUR_MS / EVERY_MS
/** What the backend takes of one batch, and how many at once: a twentieth of that rate is what is reported. */
const CALL_MS = 2_000
const AT_ONCE = 4

function world(queueInstances: number) {
  const clock = new FakeClock()
  const ports = { clock, random: seededRandom(1), log: new KeptLog(), meter: new ReadableMeter() }
  const pipeline = new InProcessPipeline({ ...ports, formats: jsonFormats, dispatchFor: dispatchByName })
  const took = { away: 0, well: 0 }
  let isAway = false
  let tries = 0
  const handlerOf = (name: keyof typeof took): Handler => ({
    report: {
      metric: async (instances) => {
        if (name === 'away') tries++
        if (name === 'away' && isAway) throw new IntermixError('BACKEND_FAILED', 'connection refused')
        await pause(clock, CALL_MS)
        took[name] += instances.length
      },
    },
  })
  const handlers = new Map((['away', 'well'] as const).map((name): [string, Handler] => [name, handlerOf(name)]))
  pipeline.reload(snapshotOf(['away', 'well'], 5_000, { queueInstances, concurrency: AT_ONCE }), handlers)
  return {
    clock,
    pipeline,
    took,
    tries: () => tries,
    toggle: (away: boolean) => (isAway = away),
    totals: async (name: keyof typeof took) => {
      const totals = (await pipeline.totals()).get(name)
      if (totals === undefined) throw new Error(`nothing is known of ${name}`)
      return totals
    },
  }
}

/** An hour of reports to both, during which one backend is away. */
async function hourAway({ clock, pipeline, toggle, totals }: ReturnType<typeof world>): Promise<void> {
  toggle(true)
  for (let at = 0; at < REPORTS; at++) {
    for (const to of ['away', 'well']) await pipeline.add(parcelOf([batchTo(to, RECORDS)]))
    await clock.advance(EVERY_MS)
    // The other one never has more than what was reported last.
    expect((await totals('well')).held).toBe(0)
  }
  toggle(false)
}

describe('a backend that is away for an hour', () => {
  it('gets all that was held, at no less than half of its rate', async () => {
    const made = world(1_000_000)
    const { clock, totals, took, tries } = made
    await hourAway(made)
    expect(await totals('away')).toMatchObject({ held: REPORTS * RECORDS, delivered: 0, dropped: {} })
    expect(took.well).toBe(REPORTS * RECORDS)
    const triesInVain = tries()
    const leastMs = (REPORTS / AT_ONCE) * CALL_MS
    await clock.advance(2 * leastMs)
    expect(await totals('away')).toMatchObject({ held: 0, delivered: REPORTS * RECORDS, dropped: {} })
    expect(took.away).toBe(REPORTS * RECORDS)
    // It was looked for, not hammered: every batch by itself would have tried once a minute.
    expect(triesInVain).toBeLessThan(REPORTS)
  })

  it('costs what goes beyond the bound, counted, and nothing of another backend', async () => {
    const bound = (REPORTS * RECORDS) / 3
    const made = world(bound)
    const { clock, totals, took } = made
    await hourAway(made)
    expect(await totals('away')).toMatchObject({ held: bound, dropped: { 'queue-full': 2 * bound } })
    expect(took.well).toBe(REPORTS * RECORDS)
    await clock.advance(2 * (bound / RECORDS / AT_ONCE) * CALL_MS)
    expect(await totals('away')).toMatchObject({ held: 0, delivered: bound })
    expect(took.away).toBe(bound)
  })
})
