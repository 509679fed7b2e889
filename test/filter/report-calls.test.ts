// Calls of the filter that fail, are refused, or find nobody, in Node's WebAssembly: whatever happens, the ledger adds up, and nodes hear of
// each record once, or that it was dropped.
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DroppedRecords } from '../../src/kernel/report.ts'
import { Timestamp } from '../../src/kernel/time.ts'
import { decodeMixerReport } from '../../src/wire/mixer/decode-report.ts'
import { readReportCall, unpackReportCall } from '../../src/wire/reports/report-call.ts'
import { filterModule } from '../helpers/filter-module.ts'
import { LogHost, type MadeCall, prepared } from './log-host.ts'

let module = ''
beforeAll(async () => {
  module = await filterModule()
}, 300_000)

const UNAVAILABLE = 14
const INVALID_ARGUMENT = 3
const RESOURCE_EXHAUSTED = 8

class World {
  readonly host: LogHost
  #number = 0

  constructor(report: object = {}) {
    this.host = new LogHost(module, { report })
  }

  /** Requests that are over; some have a query, and so are of another batch. */
  log(count: number, bytes = 10): void {
    for (let each = 0; each < count; each++) {
      const number = this.#number++
      const path = `/${number}/${'x'.repeat(bytes)}${number % 3 === 0 ? '?a=1' : ''}`
      this.host.log(
        prepared({
          properties: { 'request.time': BigInt(number), 'request.duration': 1n },
          requestHeaders: [[':path', path]],
          responseHeaders: [],
          responseTrailers: [],
        }),
      )
    }
  }

  get last(): MadeCall {
    const last = this.host.calls.at(-1)
    if (last === undefined) throw new Error('no call was made')
    return last
  }

  get ledger(): readonly [accepted: number, sent: number, held: number, dropped: number] {
    const { host } = this
    const dropped = ['full', 'refused', 'end'].map((reason) => host.counter(`dropped.${reason}`))
    return [
      host.counter('accepted'),
      host.counter('sent'),
      host.counter('held'),
      dropped.reduce((sum, each) => sum + each, 0),
    ]
  }

  /** Records that are neither sent nor held nor dropped; there should be none. */
  get missing(): number {
    const [accepted, sent, held, dropped] = this.ledger
    return accepted - sent - held - dropped
  }
}

/** The numbers of its records. */
function idsOf({ message }: MadeCall): number[] {
  return unpackReportCall(message).batches.flatMap(({ payload }) =>
    decodeMixerReport(payload, new Map()).map((bag) => {
      const time = bag.get('request.time')
      return time instanceof Timestamp ? Number(time.epochNanos) : -1
    }),
  )
}

const idOf = ({ message }: MadeCall) => readReportCall(message).id
const droppedOf = ({ message }: MadeCall): readonly DroppedRecords[] => readReportCall(message).dropped

describe('calls of reports of the filter', () => {
  it('go when records have waited for long enough, or are enough; one at a time', () => {
    const world = new World({ cluster: 'telemetry' })
    const { host } = world
    world.log(3)
    host.tick(900)
    expect(host.calls).toEqual([])
    host.tick(100)
    expect(host.calls).toHaveLength(1)
    expect(world.last).toMatchObject({ path: '/intermix.v1.Reports/Report' })
    expect(world.last.cluster).toContain('telemetry')
    expect(readReportCall(world.last.message).sender).toMatch(/^envoy-filter-[0-9a-z]+$/)
    expect(new Set(idsOf(world.last))).toEqual(new Set([0, 1, 2]))
    world.log(4_500)
    host.tick(5_000)
    expect(host.calls).toHaveLength(1)
    // What has waited goes with the answer, not only with the next tick.
    host.taken()
    expect(host.calls).toHaveLength(2)
    expect(idsOf(world.last)).toHaveLength(4_000)
    host.taken()
    host.tick(0)
    expect(host.calls).toHaveLength(3)
    expect(world.missing).toBe(0)
  })

  it('come again under their id, as they were, after a while that grows; the next one has another', () => {
    const world = new World()
    const { host } = world
    world.log(10)
    host.tick(1_000)
    const first = world.last
    host.failed(UNAVAILABLE, 'no healthy upstream')
    host.tick(240)
    expect(host.calls).toHaveLength(1)
    host.tick(260)
    expect(host.calls).toHaveLength(2)
    expect(world.last.message.equals(first.message)).toBe(true)
    host.failed(UNAVAILABLE)
    host.tick(490)
    expect(host.calls).toHaveLength(2)
    host.tick(510)
    expect(host.calls).toHaveLength(3)
    expect(host.logs.filter((line) => line.includes('no node takes reports'))).toHaveLength(1)
    host.taken()
    expect(host.logs.at(-1)).toContain('takes reports again')
    world.log(1)
    host.tick(1_000)
    expect(idOf(world.last)).not.toBe(idOf(first))
    expect(world.ledger).toEqual([11, 10, 1, 0])
  })

  it('are given up where a node refuses them for good, which the next one tells', () => {
    const world = new World()
    const { host } = world
    world.log(10)
    host.tick(1_000)
    world.log(10)
    host.failed(INVALID_ARGUMENT, 'no')
    host.tick(1_000)
    expect(idsOf(world.last)).toHaveLength(10)
    expect(droppedOf(world.last)).toEqual([{ reason: 'refused', count: 10 }])
    host.failed(RESOURCE_EXHAUSTED, 'a message of 5 bytes is larger than 4')
    host.tick(0)
    expect(host.counter('dropped.refused')).toBe(20)
    // The second one, which told of the first, was refused itself.
    expect(droppedOf(world.last)).toEqual([{ reason: 'refused', count: 20 }])
    expect(idsOf(world.last)).toEqual([])
    host.failed(RESOURCE_EXHAUSTED, 'too much at once')
    host.tick(1_000)
    expect(droppedOf(world.last)).toEqual([{ reason: 'refused', count: 20 }])
    host.taken()
    world.log(1)
    host.tick(1_000)
    expect(droppedOf(world.last)).toEqual([])
    expect(world.missing).toBe(0)
  })

  it('are made anew where no answer comes at all', () => {
    const world = new World()
    world.log(1)
    world.host.tick(1_000)
    const first = world.last
    world.host.tick(20_000)
    world.host.tick(1_000)
    expect(world.host.calls).toHaveLength(2)
    expect(world.last.message.equals(first.message)).toBe(true)
  })

  it('wait for a plugin that goes, two seconds at most; what no node took then is counted', () => {
    const taken = new World()
    taken.log(10)
    expect(taken.host.end()).toBe(false)
    expect(idsOf(taken.last)).toHaveLength(10)
    taken.host.taken()
    taken.host.tick()
    expect(taken.host.isDone).toBe(true)
    expect(taken.ledger).toEqual([10, 10, 0, 0])

    const left = new World()
    left.log(10)
    left.host.isCut = true
    expect(left.host.end()).toBe(false)
    left.host.tick(1_990)
    expect(left.host.isDone).toBe(false)
    left.host.tick(10)
    expect(left.host.isDone).toBe(true)
    // Counters of what happens in a tick are told with it.
    expect(left.host.counter('dropped.end')).toBe(10)
    expect(left.host.counter('held')).toBe(0)
    expect(new World().host.end()).toBe(true)
  })

  it('are not made without the setting, and all that is wrong with it is told at once', () => {
    const host = new LogHost(module, {})
    host.log(
      prepared({
        properties: { 'request.duration': 1n },
        requestHeaders: [],
        responseHeaders: [],
        responseTrailers: [],
      }),
    )
    host.tick(10_000)
    expect(host.calls).toEqual([])
    const report = { max_bytes: 1, wait_ms: 'x', request_headers: ['X-User', 'x-istio-attributes', ':path'], more: 1 }
    const problems = (given: unknown) => {
      try {
        return new LogHost(module, { report: given }).logs
      } catch (error) {
        return (error as Error).message.split('\n')
      }
    }
    expect(problems(report).map((line) => /report\.?[a-z_0-9[\]]*/.exec(line)?.[0])).toEqual([
      'report.more',
      'report.request_headers[0]',
      'report.request_headers[1]',
      'report.request_headers[2]',
      'report.max_bytes',
      'report.wait_ms',
    ])
    expect(problems(true)).toEqual([expect.stringContaining('report: must be an object')])
  })

  it('lose nothing and tell nothing twice, whatever happens in whatever order', () => {
    const event = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('log' as const),
          count: fc.integer({ min: 1, max: 700 }),
          bytes: fc.constantFrom(10, 400),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.constantFrom(20, 500, 1_000, 20_000) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constantFrom('taken' as const, 'lost' as const, 'failed' as const, 'refused' as const),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), isCut: fc.boolean() }) },
    )
    fc.assert(
      fc.property(fc.array(event, { minLength: 5, maxLength: 60 }), (events) => {
        const world = new World({ max_bytes: 262_144 })
        const { host } = world
        const seen = new Map<string, MadeCall>()
        let open: MadeCall | undefined
        const look = () => {
          if (host.calls.length > 0) open = host.calls.splice(0).at(-1)
        }
        /** The node has it, whether the filter hears of that or not. */
        const take = (call: MadeCall) => void seen.set(idOf(call), call)
        const answer = (kind: 'taken' | 'lost' | 'failed' | 'refused') => {
          const call = open
          if (call === undefined) return
          open = undefined
          if (kind === 'taken' || kind === 'lost') take(call)
          // A node does not refuse what it has taken before.
          if (kind === 'taken') host.taken()
          else if (kind === 'refused' && !seen.has(idOf(call))) host.failed(INVALID_ARGUMENT)
          else host.failed(UNAVAILABLE)
        }
        for (const each of events) {
          if (each.kind === 'log') world.log(each.count, each.bytes)
          else if (each.kind === 'tick') host.tick(each.ms)
          else if (each.kind === 'cut') host.isCut = each.isCut
          else answer(each.kind)
          look()
          host.tick(0)
          look()
          expect(world.missing).toBe(0)
          expect(host.counter('held_bytes')).toBeLessThanOrEqual(262_144)
        }
        host.isCut = false
        for (let round = 0; round < 200; round++) {
          host.tick(20_001)
          look()
          answer('taken')
          look()
        }
        host.tick(0)
        const [accepted, sent, held, dropped] = world.ledger
        expect([sent + dropped, held]).toEqual([accepted, 0])
        const ids = [...seen.values()].flatMap(idsOf)
        expect(new Set(ids).size).toBe(ids.length)
        expect(ids.length).toBe(sent)
        const told = [...seen.values()].flatMap(droppedOf).reduce((sum, { count }) => sum + count, 0)
        expect(told).toBe(dropped)
      }),
      { numRuns: 60 },
    )
  })
})
