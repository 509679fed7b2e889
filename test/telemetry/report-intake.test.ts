import { mkdtempSync, readdirSync, rmSync, truncateSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import { type Parcel, parcelFromJob, parcelToJob } from '../../src/telemetry/parcel.ts'
import { type ParcelSink, ReportIntake } from '../../src/telemetry/report-intake.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { FakeClock } from '../helpers/clock.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'

/** A sink whose readiness and answers the test decides. */
class TestSink implements ParcelSink {
  isReady = true
  fail = false
  hang = false
  readonly taken: Parcel[] = []
  #listeners: (() => void)[] = []

  ready(): boolean {
    return this.isReady
  }

  onReady(callback: () => void): void {
    this.#listeners.push(callback)
  }

  becomeReady(): void {
    this.isReady = true
    for (const listener of this.#listeners) listener()
  }

  async add(parcel: Parcel): Promise<void> {
    if (this.hang) await new Promise(() => undefined)
    if (this.fail) throw new IntermixError('REDIS_UNAVAILABLE', 'away')
    this.taken.push(parcel)
  }

  get ids(): string[] {
    return this.taken.flatMap((parcel) => parcel.batches.map((batch) => batch.id))
  }
}

const directories: string[] = []

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true })
})

function spoolDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'intermix-spool-'))
  directories.push(directory)
  return directory
}

interface World {
  readonly sink?: TestSink
  readonly clock?: Clock
  readonly spoolBytes?: number
  readonly spoolDirectory?: string
  readonly rules?: () => string
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
    processId: 'p1',
    ...rest,
  })
  return { intake, sink, clock: clock as FakeClock, log, meter }
}

function batch(id: string, count: number, bytes = 100, format = 'attributes'): ReportBatch {
  return { id, format, count, payload: new Uint8Array(bytes), acceptedAt: 0 }
}

function expectBalanced(intake: ReportIntake) {
  const { accepted, delivered, held, stored, dropped } = intake.totals()
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0)
  expect(delivered + held + stored + lost).toBe(accepted)
}

describe('the report intake', () => {
  it('puts small batches together and hands on large ones at once', async () => {
    const { intake, sink, clock } = intakeWith()
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
    for (let i = 0; i < 10; i++) intake.accept(batch(`b-${i}`, 1, 20_000))
    expect(sink.taken.map((parcel) => parcel.count)).toEqual([3, 3, 3])
  })

  it('holds everything while the sink is away and hands it on oldest first when it is back', () => {
    const { intake, sink } = intakeWith()
    sink.isReady = false
    const ids = Array.from({ length: 40 }, (_, i) => `b-${i}`)
    for (const [i, id] of ids.entries()) intake.accept(batch(id, 100, 10, i % 3 === 0 ? 'envoy-als' : 'attributes'))
    expect(intake.totals()).toMatchObject({ accepted: 4000, delivered: 0, held: 4000 })
    sink.becomeReady()
    return expect.poll(() => sink.ids).toEqual(ids)
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

  it('drops the oldest access logs first where there is no room, then the oldest others, and counts them', () => {
    const { intake, sink, meter } = intakeWith({ spoolBytes: 10 * 1256 })
    sink.isReady = false
    for (let i = 0; i < 5; i++) intake.accept(batch(`log-${i}`, 100, 1000, 'envoy-als'))
    for (let i = 0; i < 12; i++) intake.accept(batch(`metric-${i}`, 100, 1000))
    intake.accept(batch('late-log', 100, 1000, 'envoy-als'))
    intake.accept(batch('huge', 100, 20_000))
    expect(intake.totals()).toMatchObject({
      accepted: 1900,
      held: 1000,
      dropped: { 'spool-full': 800, 'too-large': 100 },
    })
    expect(intake.spooledBytes).toBeLessThanOrEqual(10 * 1256)
    expect(meter.value('reports_dropped_total', 'spool-full')).toBe(800)
    sink.becomeReady()
    return expect.poll(() => sink.ids).toEqual(Array.from({ length: 10 }, (_, i) => `metric-${i + 2}`))
  })

  it('drops what is of a format of another version no sooner than metrics', () => {
    const { intake, sink } = intakeWith({ spoolBytes: 3 * 1256 })
    sink.isReady = false
    for (const [id, format] of [
      ['foreign', 'otlp'],
      ['log', 'envoy-als'],
      ['metric', 'attributes'],
      ['last', 'attributes'],
    ] as const)
      intake.accept(batch(id, 100, 1000, format))
    sink.becomeReady()
    return expect.poll(() => sink.ids).toEqual(['foreign', 'metric', 'last'])
  })

  it('takes a batch in a moment even when the sink hangs', () => {
    const { intake, sink } = intakeWith()
    sink.hang = true
    const started = performance.now()
    for (let i = 0; i < 1000; i++) intake.accept(batch(`b-${i}`, 100, 1000))
    expect((performance.now() - started) / 1000).toBeLessThan(10)
    expectBalanced(intake)
  })

  it('counts what is no batch, and what comes after the end', async () => {
    const { intake } = intakeWith()
    intake.accept(batch('bad id', 3))
    intake.accept(batch('b', Number.NaN))
    await intake.flush(10)
    intake.accept(batch('late', 2))
    expect(intake.totals()).toMatchObject({ accepted: 5, dropped: { invalid: 3, closed: 2 } })
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

  it('writes what is left to disk and hands it on after the next start, with the same ids', async () => {
    const directory = spoolDirectory()
    const first = intakeWith({ spoolDirectory: directory })
    first.sink.isReady = false
    for (let i = 0; i < 30; i++) first.intake.accept(batch(`b-${i}`, 100, i))
    const flushed = first.intake.flush(1000)
    await first.clock.advance(1000)
    expect(await flushed).toMatchObject({ stored: 3000, held: 0, dropped: {} })
    const second = intakeWith({ spoolDirectory: directory })
    await expect.poll(() => second.sink.ids).toEqual(Array.from({ length: 30 }, (_, i) => `b-${i}`))
    expect(second.sink.taken[7]?.batches[0]?.payload).toEqual(new Uint8Array(7))
    await expect.poll(() => readdirSync(directory)).toEqual([])
    expect(second.intake.totals()).toMatchObject({ accepted: 3000, delivered: 3000 })
  })

  it('uses what stands before a damaged record, and keeps the file until all is handed on', async () => {
    const directory = spoolDirectory()
    const first = intakeWith({ spoolDirectory: directory })
    first.sink.isReady = false
    for (let i = 0; i < 3; i++) first.intake.accept(batch(`b-${i}`, 100))
    const flushed = first.intake.flush(10)
    await first.clock.advance(10)
    await flushed
    const file = join(directory, readdirSync(directory)[0] ?? '')
    truncateSync(file, statSync(file).size - 5)
    const sink = new TestSink()
    sink.isReady = false
    const second = intakeWith({ spoolDirectory: directory, sink })
    expect(second.intake.totals().held).toBe(200)
    expect(second.log.lines.join()).toContain('damaged')
    expect(readdirSync(directory)).toHaveLength(1)
    sink.becomeReady()
    await expect.poll(() => readdirSync(directory)).toEqual([])
    expect(sink.ids).toEqual(['b-0', 'b-1'])
  })

  it('refuses a spool directory that it cannot use', () => {
    expect(() => intakeWith({ spoolDirectory: '/dev/null/spool' })).toThrow('must be a directory')
  })
})
