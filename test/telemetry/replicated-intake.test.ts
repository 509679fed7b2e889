import { describe, expect, it, onTestFinished } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { type Parcel, parcelFromJob, parcelOf, parcelToJob } from '../../src/telemetry/parcel.ts'
import type { ParcelReplication } from '../../src/telemetry/parcel-road.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { DiskSpool } from '../../src/telemetry/spool/disk-spool.ts'
import { parcelFromBytes, parcelToBytes } from '../../src/telemetry/spool/parcel-bytes.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { FakeClock } from '../helpers/clock.ts'
import { fixedRandom, KeptLog, ReadableMeter, until } from '../redis/support.ts'
import { batch, expectBalanced, TestSink } from './intake-support.ts'
import { spoolDirectory } from './spool/support.ts'

/** A queue whose replicas the test answers for. */
class ReplicatedSink extends TestSink {
  trouble: string | undefined
  readonly #asked: { readonly parcel: Parcel; readonly settle: (error?: Error) => void }[] = []

  get replication(): ParcelReplication {
    return { trouble: this.trouble, confirm: (parcel) => this.#confirm(parcel) }
  }

  /** Ids of parcels whose replicas are waited for. */
  get unproved(): readonly string[] {
    return this.#asked.map(({ parcel }) => parcel.id)
  }

  settle(error?: Error): void {
    for (const { settle } of this.#asked.splice(0)) settle(error)
  }

  #confirm(parcel: Parcel): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ parcel, settle: (error) => (error === undefined ? resolve() : reject(error)) })
    })
  }
}

function intakeWith(disk?: DiskSpool) {
  const sink = new ReplicatedSink()
  const [clock, meter] = [new FakeClock(), new ReadableMeter()]
  const ports = { clock, meter, random: fixedRandom, log: new KeptLog() }
  const intake = new ReportIntake({ sink, formats: REPORT_FORMATS, ...ports, ...(disk === undefined ? {} : { disk }) })
  return { intake, sink, clock, meter }
}

/** What became of an answer, looked at any time. */
function watched(outcome: unknown) {
  const state: { settled?: unknown; isSettled: boolean } = { isSettled: false }
  void Promise.resolve(outcome).then((settled) => Object.assign(state, { settled, isSettled: true }))
  return state
}

const turn = () => new Promise(setImmediate)

describe('reports that are promised as replicated', () => {
  it('are acknowledged when replicas have them; who asked for less does not wait for those', async () => {
    const { intake, sink, clock } = intakeWith()
    const [queued, replicated] = [batch('q', 3), batch('r', 2)]
    const answers = [watched(intake.accept(queued, 'queued')), watched(intake.accept(replicated, 'replicated'))]
    await clock.advance(1)
    await turn()
    expect(sink.unproved).toEqual(['q'])
    expect(answers.map(({ isSettled }) => isSettled)).toEqual([true, false])
    expect(intake.heldBytes).toBeGreaterThan(0)
    sink.settle()
    await turn()
    expect(answers[1]).toEqual({ isSettled: true, settled: undefined })
    expect(intake.heldBytes).toBe(0)
    expect(intake.totals()).toMatchObject({ accepted: 5, delivered: 5, held: 0, refused: {} })
    expectBalanced(intake)
  })

  it('are refused when too few replicas have them, although they are in the queue', async () => {
    const { intake, sink, clock, meter } = intakeWith()
    const answer = watched(intake.accept(batch('r', 2), 'replicated'))
    await clock.advance(1)
    await turn()
    sink.settle(new IntermixError('REDIS_UNAVAILABLE', 'too few', { retryAfterMs: 1_000 }))
    await turn()
    expect(answer.settled).toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true })
    expect(intake.totals()).toMatchObject({ accepted: 2, delivered: 2, refused: { unreplicated: 2 } })
    expect(meter.value('reports_refused_total', 'unreplicated')).toBe(2)
    expect(intake.heldBytes).toBe(0)
  })

  it('are refused at once, and not queued, while it is known that too few replicas are there', async () => {
    const { intake, sink, clock } = intakeWith()
    sink.trouble = '1 replica of Redis must take what it is written: it has 0'
    expect(await intake.accept(batch('r', 2), 'replicated')).toMatchObject({ message: sink.trouble, retryable: true })
    const queued = watched(intake.accept(batch('q', 1), 'queued'))
    await clock.advance(1)
    await turn()
    expect(queued).toEqual({ isSettled: true, settled: undefined })
    expect(sink.ids).toEqual(['q'])
  })

  it('are safe on the disk while Redis is away, and leave it only when replicas have them', async () => {
    const ports = { clock: new FakeClock(), random: Math.random, log: new KeptLog() }
    const directory = spoolDirectory()
    const disk = new DiskSpool({ ...ports, directory, maxBytes: 2 ** 20, fsync: 'always', processId: 'node' })
    onTestFinished(() => disk.close())
    const { intake, sink } = intakeWith(disk)
    sink.isReady = false
    // Where Redis is away, it does not matter what its replicas were like.
    sink.trouble = 'it has 0'
    await intake.start()
    expect(await intake.accept(batch('r', 500), 'replicated')).toBeUndefined()
    expect(disk.records).toBe(500)
    sink.becomeReady()
    await until(() => sink.unproved.length === 1, 'it is in the queue')
    expect(sink.taken[0]?.replicated).toBe(true)
    expect(disk.records).toBe(500)
    sink.settle()
    await until(() => disk.records === 0, 'the disk has let go of it')
    expect(intake.totals()).toMatchObject({ accepted: 500, delivered: 500, stored: 0 })
  })

  it('are known as such on the disk and in the queue', () => {
    const parcel = { ...parcelOf([batch('a', 1)]), replicated: true }
    expect(parcelFromJob(JSON.parse(JSON.stringify(parcelToJob(parcel)))).replicated).toBe(true)
    expect(parcelFromBytes(parcelToBytes(parcel)).replicated).toBe(true)
    const other = parcelOf([batch('b', 1)])
    expect(parcelFromJob(parcelToJob(other)).replicated).toBeUndefined()
    expect(parcelFromBytes(parcelToBytes(other)).replicated).toBeUndefined()
  })
})
