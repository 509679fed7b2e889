import type { CoalescerBounds } from '../../src/telemetry/coalescer.ts'
import { describe, expect, it } from 'vitest'
import type { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { ReportOutcome } from '../../src/kernel/services.ts'
import { parcelFromJob, parcelToJob } from '../../src/telemetry/parcel.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { FakeClock } from '../helpers/clock.ts'
import { batch, expectBalanced, settled, TestSink } from './intake-support.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'

interface World {
  readonly sink?: TestSink
  readonly clock?: Clock
  readonly spoolBytes?: number
  readonly rules?: () => string
  readonly coalesce?: CoalescerBounds
}

function intakeWith({ sink = new TestSink(), clock = new FakeClock(), ...rest }: World = {}) {
  const log = new KeptLog()
  const meter = new ReadableMeter()
  const intake = new ReportIntake({
    sink,
    formats: REPORT_FORMATS,
    clock,
    random: fixedRandom,
    log,
    meter,
    ...rest,
  })
  return { intake, sink, clock: clock as FakeClock, log, meter }
}

describe('the report intake', () => {
  it('puts small batches together and hands on large ones at once', async () => {
    const { intake, sink, clock } = intakeWith({ coalesce: { maxRecords: 100, maxWaitMs: 200 } })
    for (let i = 0; i < 3; i++) intake.accept(batch(`s-${i}`, 1))
    intake.accept(batch('large', 500))
    expect(sink.taken.map((parcel) => parcel.id)).toEqual(['large'])
    await clock.advance(199)
    expect(sink.taken).toHaveLength(1)
    await clock.advance(1)
    expect(sink.taken[1]).toMatchObject({ id: 's-0', count: 3 })
    for (let i = 0; i < 250; i++) intake.accept(batch(`m-${i}`, 1))
    expect(sink.taken.slice(2).map((parcel) => parcel.count)).toEqual([100, 100])
    expectBalanced(intake)
  })

  it('puts nothing together that was accepted under different rules, and says of each parcel which they were', async () => {
    let rules = 'a'
    const { intake, sink, clock } = intakeWith({ rules: () => rules })
    intake.accept(batch('a-1', 1))
    intake.accept(batch('a-2', 1))
    rules = 'b'
    intake.accept(batch('b-1', 500))
    intake.accept(batch('b-2', 1))
    await clock.advance(200)
    const seen = sink.taken.map((parcel) => [parcel.rules, ...parcel.batches.map(({ id }) => id)])
    expect(seen).toEqual([
      ['a', 'a-1', 'a-2'],
      ['b', 'b-1'],
      ['b', 'b-2'],
    ])
    expect(sink.taken.map((parcel) => parcelFromJob(JSON.parse(JSON.stringify(parcelToJob(parcel)))).rules)).toEqual([
      'a',
      'b',
      'b',
    ])
  })

  it('bounds a parcel by bytes', () => {
    const { intake, sink } = intakeWith()
    for (let i = 0; i < 10; i++) intake.accept(batch(`b-${i}`, 1, 80_000))
    expect(sink.taken.map((parcel) => parcel.count)).toEqual([3, 3, 3])
  })

  it('holds everything while the sink is away and hands it on oldest first when it is back', async () => {
    const { intake, sink, meter } = intakeWith()
    sink.isReady = false
    const ids = Array.from({ length: 40 }, (_, i) => `b-${i}`)
    for (const [i, id] of ids.entries()) intake.accept(batch(id, 100, 10, i % 3 === 0 ? 'envoy-als' : 'attributes'))
    expect(intake.totals()).toMatchObject({ accepted: 4000, delivered: 0, held: 4000 })
    expect(meter.value('reports_held')).toBe(4000)
    sink.becomeReady()
    await expect.poll(() => sink.ids).toEqual(ids)
    expect(meter.value('reports_held')).toBe(0)
  })

  it('tries again with the same ids after failures, with growing waits', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.fail = true
    for (let i = 0; i < 20; i++) intake.accept(batch(`b-${i}`, 100))
    await clock.advance(5000)
    expectBalanced(intake)
    sink.fail = false
    await clock.advance(2000)
    expect(sink.ids.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => `b-${i}`).toSorted())
    expect(intake.totals()).toMatchObject({ delivered: 2000, held: 0 })
  })

  it('refuses what it has no room for, access logs first, and never gives up what it has accepted', async () => {
    const { intake, sink, meter, log } = intakeWith({
      spoolBytes: 10 * 1256,
      coalesce: { maxRecords: 100, maxWaitMs: 200 },
    })
    sink.isReady = false
    const answers = (format: string, ids: readonly string[]) =>
      ids.map((id) => intake.accept(batch(id, 100, 1000, format))?.code)
    expect(answers('envoy-als', ['log-1', 'log-2'])).toEqual([undefined, undefined])
    expect(answers('attributes', ['m-1', 'm-2', 'm-3', 'm-4', 'm-5', 'm-6'])).toEqual(Array(6).fill(undefined))
    // 80 % are held.
    expect(answers('envoy-als', ['log-3'])).toEqual(['OVERLOADED'])
    expect(answers('otlp', ['foreign'])).toEqual([undefined])
    expect(answers('attributes', ['m-7', 'm-8', 'm-9'])).toEqual([undefined, 'OVERLOADED', 'OVERLOADED'])
    expect(
      answers(
        'attributes',
        ['huge'].map((id) => id),
      ),
    ).toEqual(['OVERLOADED'])
    expect(intake.accept(batch('too-large', 100, 20_000))).toMatchObject({ code: 'INVALID_REQUEST' })
    expect(intake.totals()).toMatchObject({
      accepted: 1000,
      held: 1000,
      dropped: {},
      refused: { full: 400, 'too-large': 100 },
    })
    expect(intake.heldBytes).toBe(10 * 1256)
    expect(meter.value('reports_refused_total', 'full')).toBe(400)
    expect(log.lines.filter((line) => line.includes('reports are refused'))).toHaveLength(1)
    sink.becomeReady()
    await expect.poll(() => sink.taken.length).toBe(10)
    expect(sink.ids).not.toContain('m-8')
    expect(intake.heldBytes).toBe(0)
    expect(answers('envoy-als', ['log-4'])).toEqual([undefined])
    expectBalanced(intake)
  })

  it('takes a batch in a moment even when the sink hangs', () => {
    const { intake, sink } = intakeWith()
    sink.hang = true
    const started = performance.now()
    for (let i = 0; i < 1000; i++) intake.accept(batch(`b-${i}`, 100, 1000))
    expect((performance.now() - started) / 1000).toBeLessThan(10)
    expectBalanced(intake)
  })

  it('refuses what is no batch, and what comes after the end', async () => {
    const { intake } = intakeWith()
    expect(intake.accept(batch('bad id', 3))).toMatchObject({ code: 'INVALID_REQUEST' })
    expect(intake.accept(batch('b', Number.NaN))).toMatchObject({ code: 'INVALID_REQUEST' })
    await intake.flush(10)
    expect(intake.accept(batch('late', 2))).toMatchObject({ code: 'NOT_READY' })
    expect(intake.totals()).toMatchObject({ accepted: 0, dropped: {}, refused: { invalid: 0, closed: 2 } })
    expectBalanced(intake)
  })

  it('hands on everything at its end when the sink takes it', async () => {
    const { intake, sink } = intakeWith()
    for (let i = 0; i < 30; i++) intake.accept(batch(`b-${i}`, 7))
    expect(await intake.flush(1000)).toMatchObject({ accepted: 210, delivered: 210, held: 0 })
    expect(sink.ids).toHaveLength(30)
  })

  it('drops what is left at its end and says so, without a directory', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.hang = true
    for (let i = 0; i < 30; i++) intake.accept(batch(`b-${i}`, 100))
    const flushed = intake.flush(1000)
    await clock.advance(1000)
    expect(await flushed).toMatchObject({ accepted: 3000, delivered: 0, held: 0, dropped: { shutdown: 3000 } })
  })
})

describe('the report intake, asked to have a report queued', () => {
  it('answers when the queue has it, at the end of the turn, and together with what came in the same turn', async () => {
    const { intake, sink, clock } = intakeWith()
    const answers = ['a', 'b', 'c'].map((id) => intake.accept(batch(id, 2), 'queued'))
    expect(intake.totals()).toMatchObject({ accepted: 0, held: 0 })
    await clock.advance(0)
    expect(await settled(answers)).toEqual([undefined, undefined, undefined])
    expect(sink.taken.map(({ count }) => count)).toEqual([6])
    expect(intake.totals()).toMatchObject({ accepted: 6, delivered: 6, held: 0 })
  })

  it('gathers what comes while adds are under way', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.hang = true
    const answers: (ReportOutcome | Promise<ReportOutcome>)[] = []
    for (let i = 0; i < 50; i++) {
      answers.push(intake.accept(batch(`b-${i}`, 1), 'queued'))
      await clock.advance(1)
    }
    expect(sink.mostUnderWay).toBe(2)
    sink.letGo()
    await clock.advance(0)
    await clock.advance(0)
    expect(await settled(answers)).toEqual(Array(50).fill(undefined))
    expect(sink.taken.map(({ count }) => count)).toEqual([1, 1, 48])
    expect(intake.heldBytes).toBe(0)
  })

  it('refuses at once while the queue is away, and after two seconds where it fails', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.isReady = false
    expect(intake.accept(batch('away', 1), 'queued')).toMatchObject({ code: 'REDIS_UNAVAILABLE', retryAfterMs: 1_000 })
    sink.isReady = true
    sink.fail = true
    const failing = intake.accept(batch('failing', 1), 'queued') as Promise<IntermixError>
    await clock.advance(2_000)
    expect((await failing).code).toBe('REDIS_UNAVAILABLE')
    expect(intake.totals()).toMatchObject({ accepted: 0, held: 0, refused: { unqueued: 2 } })
    sink.fail = false
    await clock.advance(5_000)
    expect(sink.ids).toEqual([])
    expect(intake.heldBytes).toBe(0)
  })

  it('gets over a moment in which the queue fails', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.fail = true
    const answer = intake.accept(batch('a', 1), 'queued')
    await clock.advance(50)
    sink.fail = false
    await clock.advance(1_000)
    expect(await answer).toBeUndefined()
    expect(sink.ids).toEqual(['a'])
  })

  it('says that it does not know where the queue does not answer, and refuses what waits at its end', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.hang = true
    const unknown = intake.accept(batch('a', 1), 'queued') as Promise<IntermixError>
    await clock.advance(10_000)
    expect((await unknown).code).toBe('DEADLINE_EXCEEDED')
    const waiting = intake.accept(batch('b', 1), 'queued') as Promise<IntermixError>
    const ended = intake.flush(100)
    await clock.advance(100)
    expect((await ended).dropped).toEqual({})
    expect((await waiting).retryable).toBe(true)
  })
})

describe('accepting in memory', () => {
  it('makes no promise and no timer for each batch', () => {
    const { intake, clock } = intakeWith()
    for (let i = 0; i < 50; i++) expect(intake.accept(batch(`b-${i}`, 1))).toBeUndefined()
    expect(clock.pending).toBe(1)
  })
})
