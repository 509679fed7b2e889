// Nothing is lost silently: whatever handlers and configs do, each record and each instance is delivered, held, or dropped
// for a reason. What the ledger says is compared with what was put in and what handlers took.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { InProcessPipeline } from '../../src/telemetry/in-process-pipeline.ts'
import type { HandlerTotals } from '../../src/telemetry/ledger.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { FakeClock } from '../helpers/clock.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'
import { batchTo, dispatchByName, jsonFormats, snapshotOf } from '../workers/support.ts'

const HANDLERS = ['a', 'b', 'c'] as const
type Name = (typeof HANDLERS)[number]
type Mood = 'takes' | 'refuses' | 'fails' | 'throttles' | 'hangs' | 'is slow'

const name = fc.constantFrom(...HANDLERS)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('report' as const), to: name, count: fc.integer({ min: 1, max: 150 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('garbage' as const), count: fc.integer({ min: 1, max: 150 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('mood' as const),
      of: name,
      mood: fc.constantFrom<Mood>('takes', 'refuses', 'fails', 'throttles', 'hangs', 'is slow'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 200, 1_000, 30_000) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('config' as const), names: fc.subarray([...HANDLERS]) }) },
)

/** A process's way of reports before handlers of changing moods. */
function world() {
  const clock = new FakeClock()
  const ports = { clock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
  const options = { ...ports, formats: jsonFormats, dispatchFor: dispatchByName, maxInstances: 600 }
  const pipeline = new InProcessPipeline(options)
  const intake = new ReportIntake({
    sink: pipeline,
    formats: jsonFormats,
    ...ports,
    spoolBytes: 20_000,
  })
  const moods = new Map<Name, Mood>()
  const took = new Map<Name, number>()
  const sent = new Map<Name, number>()
  const report = (of: Name) => async (instances: readonly unknown[]) => {
    const mood = moods.get(of) ?? 'takes'
    if (mood === 'refuses') throw new IntermixError('BACKEND_REFUSED', 'no')
    if (mood === 'fails') throw new Error('boom')
    if (mood === 'throttles') throw new IntermixError('OVERLOADED', 'later', { retryAfterMs: 5_000 })
    if (mood === 'hangs') await new Promise(() => undefined)
    if (mood === 'is slow') await new Promise<void>((resolve) => clock.after(300, resolve))
    took.set(of, (took.get(of) ?? 0) + instances.length)
  }
  const use = (names: readonly Name[]) => {
    const handlers = names.map((of): [string, Handler] => [of, { report: { metric: report(of) } }])
    pipeline.reload(snapshotOf(names, 1_000, { maxInstances: 64, queueInstances: 400 }), new Map(handlers))
  }
  return { clock, pipeline, intake, moods, took, sent, use }
}

function droppedIn({ dropped }: Pick<HandlerTotals, 'dropped'>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

/** The equation at both ends of the pipeline. @returns what it holds. */
async function balance({ pipeline, intake, took }: ReturnType<typeof world>): Promise<number> {
  const { accepted, delivered, held, dropped } = intake.totals()
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0)
  expect(accepted).toBe(delivered + held + lost)
  const totals = await pipeline.totals()
  const fanOut = totals.get('fan-out')
  expect(fanOut?.accepted ?? 0).toBeGreaterThanOrEqual(delivered)
  for (const [handler, counted] of totals) {
    expect(counted.held).toBeGreaterThanOrEqual(0)
    if (handler !== 'fan-out') expect(counted.delivered).toBe(took.get(handler as Name) ?? 0)
  }
  return held + [...totals.values()].reduce((sum, counted) => sum + counted.held, 0)
}

describe('reports in one process', () => {
  it('are delivered, held or dropped for a reason, at every moment and at the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const made = world()
        const { clock, pipeline, intake, moods, use, took } = made
        let accepted = 0
        for (const each of steps) {
          let refusal: unknown
          if (each.kind === 'report') refusal = intake.accept(batchTo(each.to, each.count))
          else if (each.kind === 'garbage')
            refusal = intake.accept({ ...batchTo('a', each.count), payload: Buffer.from('?') })
          else if (each.kind === 'mood') moods.set(each.of, each.mood)
          else if (each.kind === 'config') use(each.names)
          else await clock.advance(each.ms)
          if ('count' in each && refusal === undefined) accepted += each.count
          await clock.advance(0)
          await balance(made)
          expect(intake.totals().accepted).toBe(accepted)
        }
        for (const of of HANDLERS) moods.set(of, 'takes')
        use(HANDLERS)
        for (let i = 0; i < 20 && (await balance(made)) > 0; i++) await clock.advance(100_000)
        expect(await balance(made)).toBe(0)
        // Each record that fan-out could read and the config had a handler for became one instance.
        const totals = await pipeline.totals()
        const instances = HANDLERS.reduce((sum, of) => sum + (totals.get(of)?.accepted ?? 0), 0)
        const ends = HANDLERS.map((of) => (took.get(of) ?? 0) + droppedIn(totals.get(of) ?? { dropped: {} }))
        expect(instances).toBe(ends.reduce((sum, count) => sum + count, 0))
        expect(instances).toBeLessThanOrEqual(totals.get('fan-out')?.delivered ?? 0)
        // It knows that it holds nothing: its end has nothing to wait for.
        let isStopped = false
        void pipeline.stop(1_000).then(() => (isStopped = true))
        await clock.advance(0)
        expect(isStopped).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('are all counted when the process ends under load', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30, size: 'max' }), async (steps) => {
        const made = world()
        const { clock, pipeline, intake, moods, use } = made
        use(HANDLERS)
        for (const each of steps) {
          if (each.kind === 'report') intake.accept(batchTo(each.to, each.count))
          else if (each.kind === 'mood' && each.mood !== 'hangs') moods.set(each.of, each.mood)
          else if (each.kind === 'wait') await clock.advance(each.ms)
        }
        const ended = intake.flush(500).then(() => pipeline.stop(500))
        await clock.advance(5_000)
        await ended
        await clock.advance(5_000)
        expect(await balance(made)).toBe(0)
      }),
      { numRuns: 60 },
    )
  })
})
