// A call of reports that comes again, at the same node or at another one, because its answer was lost: it counts once, and the
// ledger of each node adds up.

import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { ReportBatch } from '../../src/kernel/report.ts'
import { tryOf } from '../../src/telemetry/call-names.ts'
import type { DeliverBatch } from '../../src/telemetry/deliver-batch.ts'
import { fanOut, type FanOutPorts } from '../../src/telemetry/fan-out.ts'
import { InProcessPipeline } from '../../src/telemetry/in-process-pipeline.ts'
import { FAN_OUT } from '../../src/telemetry/ledger.ts'
import { parcelFromJob, parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { REPORT_CALL } from '../../src/wire/report-formats.ts'
import { encodeDropped, encodeReportCall } from '../../src/wire/reports/report-call.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from '../workers/support.ts'
import { World } from './ledger-world.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, role: 'queue' })

const formats = new Map([...jsonFormats, [REPORT_CALL.name, REPORT_CALL]])
const GOOD = { format: 'attributes', count: 3, text: Buffer.from(batchTo('a', 3).payload).toString() }
const BAD = { format: 'attributes', count: 2, text: 'no JSON' }

/** A call of six records, two of them unreadable, and of seven that were dropped. */
function callBatch(id: string, bad = BAD): ReportBatch {
  const contents = [GOOD, bad, { ...GOOD, count: 1, text: Buffer.from(batchTo('a', 1).payload).toString() }]
  const parts = contents.map(({ format, count, text }) => ({
    format,
    count,
    size: Buffer.byteLength(text),
    acceptedAt: 0,
  }))
  const payloads = gzipSync(contents.map(({ text }) => text).join(''))
  const call = encodeReportCall({ id: 'unused', sender: 's', parts, isCompressed: true, payloads })
  const payload = Buffer.concat([call, encodeDropped([{ reason: 'full', count: 7 }])])
  return { id, format: REPORT_CALL.name, count: 13, payload, acceptedAt: 0 }
}

describe('a call of reports that comes again', () => {
  it('counts once over all nodes, in the ledger in Redis', async () => {
    const world = new World(link)
    const { node } = world
    const other = world.startNode()
    const names = queueNames(world.prefix)
    try {
      for (const at of [node, node, other]) {
        at.intake.accepted += 13
        at.intake.delivered += 13
        await at.sink.add(parcelOf([callBatch(tryOf(`${at.process}-${at.made++}`, 'call 1'))]))
        await at.signs.say()
      }
      const queued = new Map<string, DeliverBatch>()
      const letters = new Map<string, string>()
      const ports: FanOutPorts = {
        formats,
        ledger: world.ledger,
        log: new KeptLog(),
        queueOf: () => ({ add: async (batch: DeliverBatch) => queued.set(batch.id, batch) !== undefined }),
        letters: { idOf: ({ id }) => id, keep: async ({ id }, reason) => void letters.set(id, reason) },
      }
      const snapshot = snapshotOf(['a'])
      const rules = { vocabulary: snapshot.vocabulary, dispatch: dispatchByName(snapshot) }
      for (let job = await world.first(names.reports()); job !== undefined; job = await world.first(names.reports())) {
        // Each job once more, as after a worker's death.
        await fanOut(parcelFromJob(job.data), rules, ports)
        await fanOut(parcelFromJob(job.data), rules, ports)
        await job.remove()
      }
      expect([...queued.values()].map(({ count }) => count)).toEqual([4])
      expect([...letters.keys()]).toEqual([expect.stringMatching(/^call-[0-9a-f]{24}-p1$/)])
      const totals = await world.ledger.read()
      expect(totals.get(FAN_OUT)).toMatchObject({
        accepted: 13,
        delivered: 4,
        held: 2,
        dropped: { 'sidecar-full': 7 },
        repeated: 26,
      })
      expect(totals.get('a')).toMatchObject({ accepted: 4, held: 4 })
      for (const id of queued.keys()) await world.ledger.settle({ id, handler: 'a', delivered: 4 })
      await world.audit.look()
      await world.clock.advance(1_500)
      const { findings, nodes } = await world.audit.look()
      // The letter is counted, and was kept here.
      expect(findings).toMatchObject([{ where: 'queue', name: 'dead letters', atLeast: 1 }])
      expect(new Set(nodes.map(({ accepted, arrived }) => `${accepted} ${arrived}`))).toEqual(
        new Set(['13 13', '26 26']),
      )
    } finally {
      await other.signs.end()
      await world.end()
    }
  })

  it('counts once in one process, and is a parcel by itself', async () => {
    const clock = new FakeClock()
    const ports = { clock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
    const pipeline = new InProcessPipeline({ ...ports, formats, dispatchFor: dispatchByName })
    const coalesce = { maxRecords: 10_000, maxWaitMs: 200 }
    const intake = new ReportIntake({ sink: pipeline, formats, ...ports, coalesce })
    const handler = new CountingHandler()
    pipeline.reload(snapshotOf(['a']), new Map([['a', handler]]))
    for (const next of ['n-1', 'n-2']) expect(intake.accept(callBatch(tryOf(next, 'call 1')))).toBeUndefined()
    intake.accept(callBatch(tryOf('n-3', 'call 2')))
    await expect.poll(() => handler.total).toBe(8)
    await expect.poll(async () => (await pipeline.totals()).get('a')?.delivered).toBe(8)
    expect((await pipeline.totals()).get(FAN_OUT)).toMatchObject({
      accepted: 26,
      delivered: 8,
      dropped: { 'sidecar-full': 14, unreadable: 4 },
      repeated: 13,
    })
    await pipeline.stop(1_000)
  })

  it('delivers what can be read of it beside parts of a newer version', async () => {
    const clock = new FakeClock()
    const ports = { clock, random: fixedRandom, log: new KeptLog(), meter: new ReadableMeter() }
    const pipeline = new InProcessPipeline({ ...ports, formats, dispatchFor: dispatchByName })
    const intake = new ReportIntake({
      sink: pipeline,
      formats,
      ...ports,
      coalesce: { maxRecords: 10_000, maxWaitMs: 200 },
    })
    const handler = new CountingHandler()
    pipeline.reload(snapshotOf(['a']), new Map([['a', handler]]))
    const newer = callBatch(tryOf('n-1', 'call 1'), { format: 'of-a-newer-version', count: 2, text: 'whatever' })
    expect(intake.accept(newer)).toBeUndefined()
    await expect.poll(() => handler.total).toBe(4)
    await expect.poll(async () => (await pipeline.totals()).get('a')?.delivered).toBe(4)
    expect((await pipeline.totals()).get(FAN_OUT)).toMatchObject({
      accepted: 13,
      delivered: 4,
      dropped: { 'sidecar-full': 7, unreadable: 2 },
    })
    await pipeline.stop(1_000)
  })
})
