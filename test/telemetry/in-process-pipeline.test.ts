import { describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import type { ExportWishes } from '../../src/adapter-kit/exporter/limits.ts'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import http from '../../src/adapters/http/index.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { InProcessPipeline } from '../../src/telemetry/in-process-pipeline.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startHttpBackend } from '../helpers/http-backend.ts'
import { fixedRandom, KeptLog, ReadableMeter } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from '../workers/support.ts'

interface Bounds {
  readonly maxInstances?: number
  readonly reportLimits?: ExportWishes
  readonly dispatchFor?: typeof dispatchByName
}

function start(
  handlers: Record<string, Handler>,
  { maxInstances, reportLimits, dispatchFor = dispatchByName }: Bounds = {},
) {
  const clock = new FakeClock()
  const log = new KeptLog()
  const meter = new ReadableMeter()
  const ports = { clock, random: fixedRandom, log, meter }
  const pipeline = new InProcessPipeline({
    ...ports,
    formats: jsonFormats,
    dispatchFor,
    ...(maxInstances === undefined ? {} : { maxInstances }),
  })
  // Batches of 100 go on at once.
  const coalesce = { maxRecords: 100, maxWaitMs: 200 }
  const intake = new ReportIntake({ sink: pipeline, formats: jsonFormats, ...ports, coalesce })
  const load = () =>
    pipeline.reload(snapshotOf(Object.keys(handlers), 1000, reportLimits), new Map(Object.entries(handlers)))
  return { clock, pipeline, intake, load, log, meter }
}

describe('the pipeline in one process', () => {
  it('holds reports until there is a config, then delivers them', async () => {
    const handler = new CountingHandler()
    const { intake, pipeline, load } = start({ a: handler })
    intake.accept(batchTo('a', 2500))
    expect(intake.totals()).toMatchObject({ held: 2500, delivered: 0 })
    load()
    await expect.poll(() => handler.total).toBe(2500)
    await expect.poll(async () => (await pipeline.totals()).get('a')?.delivered).toBe(2500)
    expect((await pipeline.totals()).get('a')).toMatchObject({ accepted: 2500, held: 0, dropped: {} })
  })

  it('counts instances that could not be evaluated, beside those of the same report that could', async () => {
    const handler = new CountingHandler()
    const { pipeline, intake, load } = start(
      { a: handler },
      {
        dispatchFor: (snapshot) => (bag, random) => {
          const made = dispatchByName(snapshot)(bag, random)
          if (made instanceof Promise) throw new Error('it has nothing to wait for')
          return Number(bag.get('n')) % 4 === 0 ? made.map((each) => ({ ...each, instance: undefined })) : made
        },
      },
    )
    load()
    intake.accept(batchTo('a', 500))
    await expect
      .poll(async () => (await pipeline.totals()).get('a'))
      .toMatchObject({
        accepted: 500,
        delivered: 375,
        held: 0,
        dropped: { 'not-evaluated': 125 },
      })
    expect(handler.total).toBe(375)
  })

  it('posts a batch once to a backend that takes a second, also where checks ask the same handler', async () => {
    const gate = Promise.withResolvers<void>()
    const backend = await startHttpBackend(async () => {
      await gate.promise
      return { status: 202 }
    })
    try {
      const spec = `{adapter: http, params: {url: "${backend.url}"}}`
      const text = `{apiVersion: intermix.dev/v1, kind: handler, metadata: {name: a}, spec: ${spec}}`
      const { snapshot } = compileSnapshot(parseConfigText('a.yaml', text), { adapters: builtInAdapters() })
      const config = snapshot?.handlers.get('a.handler.istio-system')
      if (snapshot === undefined || config === undefined) throw new Error('no config')
      const { clock, pipeline, intake } = start({})
      const handler = http.create(http.config.parse({ url: backend.url }), createTestEnvironment({ fetch }))
      pipeline.reload(snapshot, new Map([[config.name, handler]]))
      intake.accept(batchTo(config.name, 100))
      await expect.poll(() => backend.count).toBe(1)
      await clock.advance(1_000)
      gate.resolve()
      await expect.poll(async () => (await pipeline.totals()).get(config.name)?.delivered).toBe(100)
      expect(backend.count).toBe(1)
    } finally {
      await backend.close()
    }
  })

  it('tries again after passing failures and drops what is too old, counted', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => (handler.calls < 4 ? new Error('boom') : new IntermixError('BACKEND_FAILED', 'away'))
    const { intake, pipeline, clock, load } = start({ a: handler })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(() => handler.calls).toBe(1)
    await clock.advance(24 * 3_600_000 - 60_000)
    expect((await pipeline.totals()).get('a')).toMatchObject({ held: 100, dropped: {} })
    await clock.advance(120_000)
    expect((await pipeline.totals()).get('a')).toMatchObject({ accepted: 100, held: 0, dropped: { failed: 100 } })
  })

  it('tells once when a backend takes no reports and once when it does again', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'connection refused')
    const { intake, clock, load, log, meter } = start({ a: handler })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(() => handler.calls).toBe(1)
    expect(log.lines).toEqual([])
    await clock.advance(10_000)
    await expect.poll(() => handler.calls).toBeGreaterThan(3)
    expect(log.lines).toEqual([expect.stringMatching(/^warn reports are not delivered.*connection refused/)])
    expect(meter.value('report_tries_failed_total', 'a')).toBe(handler.calls)
    handler.failWith = undefined
    await clock.advance(20_000)
    await expect.poll(() => handler.total).toBe(100)
    await expect.poll(() => log.lines.slice(1)).toEqual([expect.stringMatching(/^warn reports are delivered again/)])
  })

  it('drops at once what is refused or cannot be read', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_REFUSED', 'no')
    const { intake, pipeline, load } = start({ a: handler })
    load()
    intake.accept(batchTo('a', 100))
    intake.accept({ ...batchTo('a', 100), payload: Buffer.from('?') })
    await expect.poll(async () => (await pipeline.totals()).get('a')?.dropped).toEqual({ refused: 100 })
    await expect.poll(async () => (await pipeline.totals()).get('fan-out')?.dropped).toEqual({ unreadable: 100 })
    expect(handler.calls).toBe(1)
  })

  it('takes no more than its bound: the rest waits in the spool', async () => {
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const counting = new CountingHandler()
    const slow: Handler = {
      report: {
        metric: async (instances, call) => {
          await gate
          counting.report.metric(instances, call)
        },
      },
    }
    const { intake, pipeline, load } = start({ a: slow }, { maxInstances: 500 })
    load()
    for (let i = 0; i < 60; i++) intake.accept(batchTo('a', 100))
    await expect.poll(() => pipeline.ready()).toBe(false)
    const { held, delivered, accepted } = intake.totals()
    expect(held).toBeGreaterThan(0)
    expect(held + delivered).toBe(accepted)
    release()
    await expect.poll(() => counting.total).toBe(6000)
  })

  it('has a handler that is stuck use up its own share only', async () => {
    const stuck: Handler = { report: { metric: () => new Promise(() => undefined) } }
    const other = new CountingHandler()
    const { intake, pipeline, load } = start({ stuck, other }, { maxInstances: 1000 })
    load()
    for (let i = 0; i < 20; i++) {
      intake.accept(batchTo('stuck', 100))
      intake.accept(batchTo('other', 100))
      await expect.poll(() => other.total).toBe(100 * (i + 1))
    }
    const totals = (await pipeline.totals()).get('stuck')
    expect(totals).toMatchObject({ accepted: 2000, held: 500, dropped: { 'queue-full': 1500 } })
    expect(pipeline.ready()).toBe(true)
  })

  it('delivers 90 000 records after an outage of three minutes, with few tries and none dropped', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'away')
    const { intake, pipeline, clock, load, meter } = start({ a: handler })
    load()
    expect(meter.value('report_delivery_concurrency', 'a')).toBe(0)
    for (let second = 0; second < 180; second++) {
      for (let i = 0; i < 5; i++) intake.accept(batchTo('a', 100))
      await clock.advance(1000)
    }
    const tries = handler.calls
    expect(tries).toBeLessThan(40)
    expect(meter.value('report_delivery_concurrency', 'a')).toBe(1)
    await expect.poll(async () => (await pipeline.totals()).get('a')?.accepted).toBe(90_000)
    handler.failWith = undefined
    await clock.advance(30_000)
    await expect.poll(() => handler.total).toBe(90_000)
    expect((await pipeline.totals()).get('a')).toMatchObject({ delivered: 90_000, held: 0, dropped: {} })
    expect(handler.calls).toBe(tries + 900)
    expect(meter.value('report_delivery_concurrency', 'a')).toBe(4)
  })

  it('keeps the order of a handler that wants it, past failures', async () => {
    const ids: string[] = []
    let tries = 0
    const handler: Handler = {
      report: {
        metric: (_instances, { batchId }) => {
          if (++tries % 3 === 0) throw new IntermixError('BACKEND_FAILED', 'away')
          ids.push(batchId)
        },
      },
    }
    const { intake, clock, load } = start({ a: handler }, { reportLimits: { ordered: true, maxInstances: 10 } })
    load()
    intake.accept(batchTo('a', 300))
    for (let i = 0; i < 40; i++) await clock.advance(1000)
    await expect.poll(() => ids.length).toBe(30)
    expect(ids.map((id) => Number(id.slice(id.lastIndexOf('-') + 1)))).toEqual(Array.from({ length: 30 }, (_, n) => n))
  })

  it('counts at its end what could not be delivered', async () => {
    const stuck: Handler = { report: { metric: () => Promise.reject(new Error('away')) } }
    const { intake, pipeline, clock, load } = start({ a: stuck })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(async () => (await pipeline.totals()).get('a')?.accepted).toBe(100)
    const stopped = pipeline.stop(10)
    await clock.advance(10)
    await stopped
    expect((await pipeline.totals()).get('a')).toMatchObject({ held: 0, delivered: 0 })
  })

  it('waits as long as a backend asks for', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('OVERLOADED', 'too many requests', { retryAfterMs: 60_000 })
    const { intake, clock, load } = start({ a: handler })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(() => handler.calls).toBe(1)
    handler.failWith = undefined
    await clock.advance(59_999)
    expect(handler.calls).toBe(1)
    await clock.advance(1)
    await expect.poll(() => handler.total).toBe(100)
  })

  it('gives an adapter no more instances and no more calls at once than it wants', async () => {
    const sizes: number[] = []
    const gates: (() => void)[] = []
    const handler: Handler = {
      report: {
        metric: (instances) => {
          sizes.push(instances.length)
          return new Promise<void>((resolve) => gates.push(resolve))
        },
      },
    }
    const { intake, pipeline, load } = start({ a: handler }, { reportLimits: { maxInstances: 40, concurrency: 2 } })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(() => sizes).toEqual([40, 40])
    gates.shift()?.()
    await expect.poll(() => sizes).toEqual([40, 40, 20])
    for (const open of gates) open()
    await expect.poll(async () => (await pipeline.totals()).get('a')).toMatchObject({ accepted: 100, delivered: 100 })
  })

  it('drops what goes beyond the queue of one handler, counted, and delivers to the others', async () => {
    const stuck: Handler = { report: { metric: () => new Promise(() => undefined) } }
    const other = new CountingHandler()
    const { intake, pipeline, load, log } = start({ stuck, other }, { reportLimits: { queueInstances: 250 } })
    load()
    for (let i = 0; i < 5; i++) {
      intake.accept(batchTo('stuck', 100))
      intake.accept(batchTo('other', 100))
      await expect.poll(() => other.total).toBe(100 * (i + 1))
    }
    const dropped = { 'queue-full': 300 }
    await expect.poll(async () => (await pipeline.totals()).get('stuck')).toMatchObject({ accepted: 500, dropped })
    expect((await pipeline.totals()).get('stuck')).toMatchObject({ held: 200, delivered: 0 })
    expect(log.lines.filter((line) => line.includes('the queue of its handler is full'))).toHaveLength(3)
  })

  it('counts what waits for a handler that has gone from the config', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new Error('away')
    const { intake, pipeline, clock, load } = start({ a: handler })
    load()
    intake.accept(batchTo('a', 100))
    await expect.poll(() => handler.calls).toBe(1)
    const ends: string[] = []
    const hold = () => () => void ends.push('b is let go')
    pipeline.reload(snapshotOf(['b']), new Map([['b', new CountingHandler()]]), hold)
    await clock.advance(1000)
    await expect.poll(() => handler.calls).toBeGreaterThan(1)
    const { calls } = handler
    expect((await pipeline.totals()).get('a')).toMatchObject({ held: 100 })
    await clock.advance(120_000)
    const dropped = { 'no-handler': 100 }
    await expect.poll(async () => (await pipeline.totals()).get('a')).toMatchObject({ held: 0, dropped })
    expect(handler.calls).toBeLessThan(calls + 20)
    pipeline.reload(snapshotOf(['c']), new Map([['c', new CountingHandler()]]))
    expect(ends).toEqual([])
    await clock.advance(60_000)
    expect(ends).toEqual(['b is let go'])
  })

  it('evaluates what was accepted before a config changed by the rules of then, for the handlers of then', async () => {
    const [before, after] = [new CountingHandler(), new CountingHandler()]
    const { pipeline } = start({})
    pipeline.reload(snapshotOf(['before']), new Map([['before', before]]))
    pipeline.reload(snapshotOf(['after']), new Map([['after', after]]))
    const both = [batchTo('before', 3), batchTo('after', 4)] as const
    await pipeline.add(parcelOf(both, 'then', 0, snapshotOf(['before']).reportDigest))
    await expect.poll(() => before.total).toBe(3)
    await pipeline.add(parcelOf(both, 'now', 0, snapshotOf(['after']).reportDigest))
    await expect.poll(() => after.total).toBe(4)
    await pipeline.add(parcelOf(both, 'of nobody', 0, snapshotOf(['other']).reportDigest))
    await expect.poll(() => after.total).toBe(8)
    expect(before.total).toBe(3)
  })
})
