import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { thisProcess } from '../../src/kernel/process-identity.ts'
import { FakeClock } from '../helpers/clock.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'
import { batch, expectBalanced, settled, TestSink } from './intake-support.ts'
import { life, segmentsIn, spoolDirectory } from './spool/support.ts'
import { DiskSpool, type DiskSpoolOptions } from '../../src/telemetry/spool/disk-spool.ts'

interface World {
  readonly directory: string
  readonly isReady?: boolean
  readonly spoolBytes?: number
  readonly disk?: Partial<DiskSpoolOptions>
}

let processes = 0

/** A process with a disk spool; none of those before it lives. */
async function intakeOn({ directory, isReady = false, spoolBytes = 64 * 1024 * 1024, disk: parts }: World) {
  const sink = new TestSink()
  sink.isReady = isReady
  const clock = new FakeClock(Date.UTC(2026, 0, 15) + processes++)
  const ports = { clock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
  const disk = new DiskSpool({
    ...ports,
    directory,
    maxBytes: 8 * 1024 * 1024,
    fsync: 'always',
    random: Math.random,
    processId: 'node',
    // No process has such a number.
    identity: { ...thisProcess(), pid: 2 ** 30 + processes },
    ...parts,
  })
  const intake = new ReportIntake({
    ...ports,
    sink,
    formats: REPORT_FORMATS,
    spoolBytes,
    disk,
    coalesce: { maxRecords: 100, maxWaitMs: 200 },
  })
  await intake.start()
  // As if killed, but that this process has its files still open.
  onTestFinished(() => disk.close().catch(() => undefined))
  return { intake, sink, disk, ...ports }
}

const ids = (count: number) => Array.from({ length: count }, (_, i) => `b-${String(i).padStart(3, '0')}`)

describe('the report intake with a disk', () => {
  it('stores what the queue does not take at once, answers for it, and hands it on oldest first', async () => {
    const { intake, sink, meter, clock } = await intakeOn({ directory: spoolDirectory() })
    const answers = ids(40).map((id) => intake.accept(batch(id, 100), 'queued'))
    expect(await settled(answers)).toEqual(Array(40).fill(undefined))
    expect(intake.totals()).toMatchObject({ accepted: 4000, held: 0, stored: 4000 })
    expect(intake.accept(batch('patient', 100))).toBeUndefined()
    await expect.poll(() => intake.totals().stored).toBe(4100)
    expect([meter.value('reports_spooled'), meter.value('reports_held')]).toEqual([4100, 0])
    sink.becomeReady()
    await expect.poll(() => sink.ids).toEqual([...ids(40), 'patient'])
    await expect.poll(() => intake.totals()).toMatchObject({ delivered: 4100, stored: 0, held: 0 })
    // Gently: what comes in has the rest of the way.
    expect(sink.mostUnderWay).toBeLessThanOrEqual(2)
    await clock.advance(0)
    expectBalanced(intake)
  })

  it('does not go over the disk while the queue takes everything', async () => {
    const directory = spoolDirectory()
    const { intake, sink } = await intakeOn({ directory, isReady: true })
    for (const id of ids(200)) intake.accept(batch(id, 100))
    await expect.poll(() => sink.ids.length).toBe(200)
    expect(segmentsIn(directory)).toEqual([])
  })

  it('stores what a slow queue leaves waiting, and what it fails to take', async () => {
    const { intake, sink, clock } = await intakeOn({ directory: spoolDirectory(), isReady: true })
    sink.hang = true
    for (const id of ids(60)) intake.accept(batch(id, 100, 60_000))
    await expect.poll(() => intake.totals().stored).toBeGreaterThan(1_000)
    await expect.poll(() => intake.totals().held).toBeLessThan(100 * (16 + 2 + 1024 / 60))
    sink.fail = true
    sink.letGo()
    await expect.poll(() => intake.totals()).toMatchObject({ held: 0, stored: 6000 })
    sink.fail = false
    for (let i = 0; i < 20; i++) await clock.advance(1_000)
    await expect.poll(() => sink.ids.toSorted()).toEqual(ids(60))
    expectBalanced(intake)
  })

  it('goes on in memory where the disk has no room, then refuses, and tells so once', async () => {
    const { intake, sink, log, clock } = await intakeOn({
      directory: spoolDirectory(),
      spoolBytes: 1_103_376,
      disk: { maxBytes: 1024 * 1024 },
    })
    let taken = 0
    for (const id of ids(18)) {
      expect(intake.accept(batch(id, 100, 50_000))).toBeUndefined()
      await expect.poll(() => intake.totals().stored).toBe(++taken * 100)
    }
    const answers = ids(40).map((id) => intake.accept(batch(`more-${id}`, 100, 50_000)))
    expect(answers.at(-1)).toMatchObject({ code: 'OVERLOADED' })
    taken += answers.filter((answer) => answer === undefined).length
    expect(taken).toBeGreaterThan(35)
    await expect.poll(() => log.lines.join()).toContain('cannot be written')
    // Nobody's promise can be kept now.
    const answer = intake.accept(batch('awaited', 1, 47_000), 'queued')
    await clock.advance(2_000)
    expect(await answer).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await clock.advance(10_000)
    expect(log.lines.filter((line) => line.includes('cannot be written'))).toHaveLength(1)
    expectBalanced(intake)
    sink.becomeReady()
    await expect.poll(() => sink.ids.length).toBe(taken)
    expectBalanced(intake)
    await expect.poll(() => intake.totals().stored).toBe(0)
    sink.isReady = false
    await clock.advance(1_000)
    const again = intake.accept(batch('again', 1), 'queued')
    await clock.advance(0)
    expect(await again).toBeUndefined()
    expect(intake.totals().stored).toBe(1)
  })

  it('writes what is left at its end to disk at once, and the next process hands it on under the same ids', async () => {
    const directory = spoolDirectory()
    const first = await intakeOn({ directory })
    for (const id of ids(30)) first.intake.accept(batch(id, 7))
    expect(await first.intake.flush(1_000)).toMatchObject({ accepted: 210, stored: 210, held: 0, dropped: {} })
    expect(first.log.lines.join()).toContain('wait in the spool directory')
    const second = await intakeOn({ directory, isReady: true })
    await expect.poll(() => second.sink.ids).toEqual(ids(30))
    await expect
      .poll(() => second.intake.totals())
      .toMatchObject({ accepted: 210, recovered: 210, delivered: 210, stored: 0 })
    await second.intake.flush(1_000)
    expect(readdirSync(directory)).toEqual([])
  })

  it('writes down what is in flight at its end too: its id keeps it from being doubled', async () => {
    const directory = spoolDirectory()
    const { intake, sink, clock } = await intakeOn({ directory, isReady: true })
    sink.hang = true
    for (const id of ids(20)) intake.accept(batch(id, 100))
    const ended = intake.flush(1_000)
    await clock.advance(500)
    expect(await ended).toMatchObject({ accepted: 2000, delivered: 0, stored: 2000, dropped: {} })
    const next = await life(directory)
    expect((await next.spool.take())?.parcel.id).toBe('b-000')
    expect(next.told.recovered).toBe(2000)
  })

  it('says what it lost where neither takes it', async () => {
    const { intake, log, clock } = await intakeOn({ directory: spoolDirectory(), disk: { maxBytes: 1_000 } })
    for (const id of ids(5)) intake.accept(batch(id, 100))
    const ended = intake.flush(1_000)
    await clock.advance(1_000)
    await clock.advance(1_000)
    const totals = await ended
    expect(totals.stored + (totals.dropped.shutdown ?? 0)).toBe(500)
    expect(totals.dropped.shutdown).toBeGreaterThan(0)
    expect(log.lines.join()).toContain('reports were lost at the end')
    expectBalanced(intake)
  })

  it('loses nothing that it has acknowledged as queued, whatever the queue does and whenever it is killed', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant('report' as const), many: fc.integer({ min: 1, max: 8 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('queue' as const), is: fc.constantFrom('ready', 'away', 'failing') }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 300, 5_000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'end' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25, size: 'max' }), async (steps) => {
        const directory = spoolDirectory()
        const sinks: TestSink[] = []
        const acknowledged = new Set<string>()
        let serial = 0
        let now = await intakeOn({ directory, isReady: true })
        const takeNote = ({ sink, intake }: typeof now) => {
          sinks.push(sink)
          expectBalanced(intake)
        }
        for (const each of steps) {
          if (each.kind === 'report') {
            for (let i = 0; i < each.many; i++) {
              const id = `r-${serial++}`
              const outcome = Promise.resolve(now.intake.accept(batch(id, 3, 50), 'queued'))
              const to = now
              // What a killed process, which lives on in this one, says afterwards is heard by nobody.
              void outcome.then((refusal) => void (refusal === undefined && to === now && acknowledged.add(id)))
            }
            await now.clock.advance(0)
          } else if (each.kind === 'queue') {
            now.sink.fail = each.is === 'failing'
            now.sink.isReady = each.is !== 'away'
            if (each.is === 'ready') now.sink.becomeReady()
          } else if (each.kind === 'wait') await now.clock.advance(each.ms)
          else if (each.kind === 'settle') {
            const { intake, clock } = now
            const held = async () => {
              await clock.advance(0)
              return intake.heldBytes
            }
            await expect.poll(held, { interval: 2 }).toBe(0)
          } else {
            if (each.kind === 'end') {
              let isOver = false
              const { intake, clock } = now
              const ended = intake.flush(1_000).finally(() => (isOver = true))
              // The disk's time is real: that of the process must not run away from it.
              const over = async () => {
                await clock.advance(20)
                return isOver
              }
              await expect.poll(over, { interval: 4 }).toBe(true)
              await ended
            }
            takeNote(now)
            now = await intakeOn({ directory, isReady: true })
          }
        }
        now.sink.fail = false
        now.sink.becomeReady()
        takeNote(now)
        const last = now
        // All sinks stand for one queue: a killed process may still have handed on what it then struck from its disk.
        const missing = async () => {
          await last.clock.advance(5_000)
          const arrived = new Set(sinks.flatMap(({ ids: taken }) => taken))
          return [...acknowledged].filter((id) => !arrived.has(id))
        }
        await expect.poll(missing, { interval: 2 }).toEqual([])
        expectBalanced(last.intake)
      }),
      // Looking for a smaller example takes longer than the test may.
      { numRuns: 25, endOnFailure: true },
    )
  })
})
