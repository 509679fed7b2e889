import { hash } from 'node:crypto'
import fc from 'fast-check'
import type { gzip } from 'node:zlib'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createBatchIds } from '../../../src/kernel/batch-ids.ts'
import { ReportBuffer, type ReportBufferOptions } from '../../../src/client/reports/report-buffer.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { zlib } from '../../../src/kernel/late-modules.ts'
import type { ReportBatch } from '../../../src/kernel/report.ts'
import type { ReportAck } from '../../../src/kernel/services.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { type Fate, Mesh } from './mesh.ts'

function started(options: Partial<ReportBufferOptions> = {}) {
  const clock = new FakeClock()
  const mesh = new Mesh()
  const log = new KeptLog()
  const meter = new ReadableMeter()
  const buffer = new ReportBuffer({
    nodes: mesh.nodes,
    clock,
    random: () => 0.5,
    log,
    meter,
    ids: createBatchIds({ nodeId: 'sidecar', clock, random: Math.random }),
    isSparable: (format) => format === 'logs',
    ...options,
  })
  let made = 0
  const batch = (count: number, format = 'records', bytes = 100): ReportBatch => {
    const payload = Buffer.from(`${made++}`.padEnd(bytes))
    return { id: `b-${made}`, format, count, payload, acceptedAt: 0 }
  }
  /** Until all is sent that can be; packing takes real time. */
  const until = (isDone: () => boolean, stepMs = 1_000) =>
    expect.poll(async () => (await clock.advance(stepMs), isDone()), { interval: 1 }).toBe(true)
  onTestFinished(() => void buffer.flush(0))
  return { buffer, clock, mesh, log, meter, batch, until }
}

describe('the buffer of reports', () => {
  it('sends thousands of records in one call, and few of them in time', async () => {
    const { buffer, clock, mesh, batch, until } = started()
    for (let i = 0; i < 1_005; i++) expect(buffer.accept(batch(10), 'memory')).toBeUndefined()
    await until(() => mesh.records >= 8_000, 0)
    expect(mesh.calls.size).toBe(2)
    await clock.advance(998)
    expect(mesh.calls.size).toBe(2)
    await until(() => mesh.records === 10_050, 1)
    expect(mesh.calls.size).toBe(3)
    expect(mesh.payloads.map(Number)).toEqual(Array.from({ length: 1_005 }, (_, i) => i))
    expect(buffer.totals()).toEqual({
      accepted: 10_050,
      sent: 10_050,
      held: 0,
      dropped: { full: 0, refused: 0, shutdown: 0 },
    })
  })

  it('says in one line why no node takes them', async () => {
    const { buffer, mesh, batch, until, log } = started()
    const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' })
    const lost = new Error('the connection\nfailed', { cause: refused })
    mesh.nodes.call = async () => {
      throw new IntermixError('BACKEND_FAILED', 'the node cannot be asked', { cause: lost })
    }
    buffer.accept(batch(3), 'memory')
    await until(() => log.lines.length > 0)
    expect(log.lines[0]).toContain('"why":"the node cannot be asked: the connection failed: ECONNREFUSED"')
  })

  it('sends as they are what cannot be compressed', async () => {
    const broken = vi
      .spyOn(zlib(), 'gzip')
      .mockImplementation(((_: unknown, __: unknown, done: (e: Error) => void) =>
        done(new Error('no memory'))) as unknown as typeof gzip)
    onTestFinished(() => broken.mockRestore())
    const { buffer, mesh, batch, until } = started()
    buffer.accept(batch(3), 'memory')
    await until(() => mesh.records === 3)
    buffer.accept(batch(2), 'memory')
    await until(() => mesh.records === 5)
    expect(Array.from(mesh.calls.values(), ({ isCompressed }) => isCompressed)).toEqual([false, false])
  })

  it('answers who waits when a node has it, and refuses where none takes it in time', async () => {
    const { buffer, clock, mesh, batch, until, meter } = started()
    const taken = buffer.accept(batch(3), 'queued')
    await until(() => mesh.records === 3, 20)
    expect(await taken).toBeUndefined()
    expect(buffer.totals()).toMatchObject({ accepted: 3, sent: 3 })
    mesh.fate = () => 'away'
    // One is on its way for ever, the other one is still here.
    const tried = buffer.accept(batch(4), 'queued')
    await until(() => mesh.tries === 2, 20)
    const waiting = buffer.accept(batch(5), 'queued')
    await clock.advance(10_001)
    expect(await tried).toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true })
    expect(await waiting).toMatchObject({ code: 'OVERLOADED', retryable: true })
    mesh.fate = () => 'taken'
    await until(() => mesh.records === 7)
    expect(buffer.totals()).toMatchObject({ accepted: 7, sent: 7, held: 0 })
    expect(meter.values.get('report_buffer_bytes')).toBe(0)
  })

  it('lets the oldest give way, logs first, and tells nodes how many with the next call', async () => {
    const { buffer, mesh, batch, until } = started({ maxBytes: 40_000 })
    mesh.fate = () => 'away'
    // On its way, and so not to be given up: its bytes cannot be compressed.
    const noise = Buffer.from(Array.from({ length: 22_000 }, (_, i) => hash('sha1', `${i}`, 'buffer')[0] ?? 0))
    buffer.accept({ ...batch(1), payload: noise }, 'memory')
    await until(() => mesh.tries > 0)
    // Less than a call's worth of each.
    for (let i = 0; i < 3; i++) buffer.accept(batch(100, 'logs', 2_744), 'memory')
    for (let i = 0; i < 2; i++) buffer.accept(batch(10, 'records', 3_744), 'memory')
    expect(buffer.totals().dropped.full).toBe(0)
    expect(buffer.accept(batch(7, 'records', 1_244), 'queued')).toMatchObject({ code: 'OVERLOADED' })
    buffer.accept(batch(7, 'records', 1_244), 'memory')
    expect(buffer.totals().dropped.full).toBe(100)
    // Records give way to no logs: what finds no room among them is refused, and nothing gives way in vain.
    expect(buffer.accept(batch(1, 'logs', 9_000), 'memory')).toMatchObject({ code: 'OVERLOADED' })
    expect(buffer.totals().dropped.full).toBe(100)
    buffer.accept(batch(50, 'logs', 4_000), 'memory')
    expect(buffer.totals().dropped.full).toBe(200)
    buffer.accept(batch(1, 'records', 14_000), 'memory')
    expect(buffer.totals().dropped.full).toBe(200 + 100 + 50 + 20)
    mesh.fate = () => 'taken'
    await until(() => buffer.totals().held === 0)
    expect(mesh.records).toBe(1 + 7 + 1)
    expect(mesh.dropped).toEqual({ full: 370 })
  })

  it.each([
    ['refused', 'INVALID_REQUEST'],
    ['too large', 'TOO_LARGE'],
  ] as const)(
    'drops what nodes refuse for good (%s), goes on, and tells that too, in a call of its own where no other comes',
    async (fate, code) => {
      const { buffer, mesh, batch, until, log } = started()
      mesh.fate = () => (mesh.tries === 1 ? fate : 'taken')
      buffer.accept(batch(5), 'memory')
      const waiting = buffer.accept(batch(6), 'queued')
      await until(() => mesh.calls.size === 1)
      expect(await waiting).toMatchObject({ code })
      expect(mesh.dropped).toEqual({ refused: 5 })
      expect(mesh.records).toBe(0)
      expect(log.lines).toEqual([expect.stringContaining('a node has refused reports for good')])
    },
  )

  it('tells of more than one call may count with several', async () => {
    const { buffer, mesh, batch, until } = started()
    mesh.fate = () => (mesh.tries === 1 ? 'refused' : 'taken')
    buffer.accept(batch(600_000_000), 'memory')
    await until(() => mesh.dropped['refused'] === 600_000_000)
    expect(Array.from(mesh.calls.values(), ({ dropped }) => dropped[0]?.count)).toEqual([
      250_000_000, 250_000_000, 100_000_000,
    ])
  })

  it('sends all at the end, or says what it could not', async () => {
    const good = started()
    for (let i = 0; i < 10; i++) good.buffer.accept(good.batch(1_000, i % 2 === 0 ? 'logs' : 'records'), 'memory')
    const ended = good.buffer.flush(5_000)
    expect(good.buffer.accept(good.batch(1), 'memory')).toMatchObject({ code: 'NOT_READY' })
    expect(await ended).toMatchObject({ accepted: 10_000, sent: 10_000, held: 0 })
    const bad = started()
    bad.mesh.fate = () => 'away'
    bad.buffer.accept(bad.batch(7), 'memory')
    const waits = bad.buffer.accept(bad.batch(8), 'queued')
    const lost = bad.buffer.flush(5_000)
    await expect.poll(() => bad.mesh.tries).toBeGreaterThan(0)
    await bad.clock.advance(5_001)
    expect(await lost).toMatchObject({ accepted: 7, sent: 0, held: 0, dropped: { shutdown: 7 } })
    expect(await waits).toMatchObject({ code: 'NOT_READY' })
    expect(bad.log.lines.at(-1)).toContain('{"lost":7}')
  })

  it('adds up, with what nodes hear, whatever becomes of its calls', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          count: fc.integer({ min: 1, max: 50 }),
          format: fc.constantFrom('records', 'logs'),
          bytes: fc.integer({ min: 1, max: 900 }),
          ack: fc.constantFrom<ReportAck>('memory', 'memory', 'memory', 'queued'),
        }),
      },
      { weight: 2, arbitrary: fc.record({ ms: fc.constantFrom(1, 30, 700, 4_000) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          fates: fc.array(fc.constantFrom<Fate>('taken', 'lost answer', 'away', 'refused', 'too large'), {
            maxLength: 4,
          }),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const { buffer, clock, mesh, batch, until } = started({ maxBytes: 8_000, callRecords: 100 })
        let fates: Fate[] = []
        mesh.fate = () => fates.shift() ?? 'taken'
        let memory = 0
        let refused = 0
        const answers: Promise<void>[] = []
        const sums = () => {
          const { accepted, sent, held, dropped } = buffer.totals()
          expect(sent + held + dropped.full + dropped.refused).toBe(accepted)
          expect(held).toBeGreaterThanOrEqual(0)
        }
        for (const each of steps) {
          if ('ms' in each) {
            await clock.advance(each.ms)
            await new Promise((resolve) => setImmediate(resolve))
          } else if ('fates' in each) fates = [...each.fates, ...each.fates]
          else {
            const outcome = buffer.accept(batch(each.count, each.format, each.bytes), each.ack)
            if (each.ack === 'memory') {
              if (outcome === undefined) memory += each.count
            } else answers.push(Promise.resolve(outcome).then((refusal) => void (refusal === undefined || refused++)))
          }
          sums()
        }
        fates = []
        await until(
          () =>
            buffer.totals().held === 0 &&
            mesh.records + (mesh.dropped['full'] ?? 0) + (mesh.dropped['refused'] ?? 0) >= buffer.totals().accepted,
        )
        await clock.advance(20_000)
        await Promise.all(answers)
        sums()
        const { accepted, sent, dropped } = buffer.totals()
        // Nodes know of each record that was taken, in one way or the other, and of nothing twice.
        expect(mesh.records).toBe(sent)
        expect({ full: 0, refused: 0, ...mesh.dropped }).toEqual({ full: dropped.full, refused: dropped.refused })
        expect(accepted).toBeGreaterThanOrEqual(memory)
        if (answers.length === 0) expect(accepted).toBe(memory)
      }),
      { numRuns: 60 },
    )
  })
})
