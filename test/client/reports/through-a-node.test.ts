// The buffer before a real node: its door, intake and fan-out. Each record that was taken is delivered, or told of as dropped.

import { afterEach, describe, expect, it } from 'vitest'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { ReportBuffer } from '../../../src/client/reports/report-buffer.ts'
import { createBatchIds } from '../../../src/kernel/batch-ids.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { InProcessPipeline } from '../../../src/telemetry/in-process-pipeline.ts'
import { FAN_OUT } from '../../../src/telemetry/ledger.ts'
import { ReportIntake } from '../../../src/telemetry/report-intake.ts'
import { REPORT_CALL } from '../../../src/wire/report-formats.ts'
import { freePort } from '../../helpers/ports.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from '../../workers/support.ts'
import { servedCalmly } from '../nodes/served-calmly.ts'

const RECORDS = 100

describe('reports of a sidecar, through a node', () => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  const ports = () => ({ clock: systemClock, random: Math.random, log: new KeptLog(), meter: new ReadableMeter() })

  async function serve(port: number) {
    const formats = new Map([...jsonFormats, [REPORT_CALL.name, REPORT_CALL]])
    const own = ports()
    const pipeline = new InProcessPipeline({ ...own, formats, dispatchFor: dispatchByName, maxInstances: 1_000_000 })
    const handler = new CountingHandler()
    pipeline.reload(snapshotOf(['a']), new Map([['a', handler]]))
    const intake = new ReportIntake({ sink: pipeline, formats, ...own })
    const given = dependencies()
    const server = createGrpcServer(servedCalmly({ ...given, report: intake as never }))
    await server.listen({ host: '127.0.0.1', port })
    ends.push(() => pipeline.stop(1_000))
    ends.push(() => server.drain(0))
    return { pipeline, handler, intake }
  }

  function gather(port: number, maxBytes?: number) {
    const own = ports()
    const nodes = new NodePool({ ...own, connectTimeoutMs: 5_000 })
    nodes.setMembers([{ id: 'n', address: { host: '127.0.0.1', port } }])
    const ids = createBatchIds({ nodeId: 'sidecar', ...own })
    const bound = maxBytes === undefined ? {} : { maxBytes }
    const buffer = new ReportBuffer({ ...own, nodes, ids, isSparable: () => false, ...bound })
    ends.push(() => nodes[Symbol.dispose]())
    return { buffer, calls: () => own.meter.values.get('report_buffer_calls_total taken') ?? 0 }
  }

  it('takes one call for more than two thousand records', async () => {
    const port = await freePort()
    const { handler, pipeline } = await serve(port)
    const { buffer, calls } = gather(port)
    for (let i = 0; i < 1_000; i++) {
      expect(buffer.accept(batchTo('a', RECORDS), 'memory')).toBeUndefined()
      if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
    }
    const totals = await buffer.flush(60_000)
    expect(totals).toMatchObject({ accepted: 100_000, sent: 100_000 })
    expect(calls()).toBeGreaterThan(0)
    expect(calls()).toBeLessThanOrEqual(100_000 / 2_000)
    await expect.poll(() => handler.total).toBe(100_000)
    expect((await pipeline.totals()).get(FAN_OUT)).toMatchObject({ accepted: 100_000, delivered: 100_000 })
  })

  it.each([
    ['loses nothing within the bound', 16 * 1024 * 1024, 100],
    ['tells exactly how many gave way beyond it', 100_000, 1_000],
  ])('while no node is there, it %s', async (_, maxBytes, batches) => {
    const port = await freePort()
    const { buffer } = gather(port, maxBytes)
    for (let i = 0; i < batches; i++) {
      expect(buffer.accept(batchTo('a', RECORDS), 'memory')).toBeUndefined()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { handler, pipeline, intake } = await serve(port)
    const { dropped, sent, accepted } = await buffer.flush(60_000)
    expect(accepted).toBe(batches * RECORDS)
    expect(dropped.full > 0).toBe(batches === 1_000)
    expect(sent + dropped.full).toBe(accepted)
    await expect.poll(() => handler.total).toBe(sent)
    // The node's ledger tells of all of them.
    await expect.poll(async () => (await pipeline.totals()).get(FAN_OUT)?.accepted).toBe(accepted)
    const { delivered, dropped: told } = (await pipeline.totals()).get(FAN_OUT) ?? {}
    expect({ delivered, dropped: told }).toEqual({
      delivered: sent,
      dropped: dropped.full === 0 ? {} : { 'sidecar-full': dropped.full },
    })
    expect(intake.totals()).toMatchObject({ accepted, delivered: accepted, held: 0 })
  })
})
