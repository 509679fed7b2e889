// What is missing and what is only under way, told apart.

import { describe, expect, it } from 'vitest'
import type { LedgerFacts, NodeFacts } from '../../src/telemetry/ledger-facts.ts'
import { findingsOf } from '../../src/telemetry/ledger-findings.ts'
import { reportOf } from '../../src/telemetry/ledger-report.ts'

const NOTHING = { accepted: 0, recovered: 0, delivered: 0, held: 0, stored: 0, dropped: {}, refused: {} }

function node(process: string, intake: Partial<NodeFacts['intake']>, more: Partial<NodeFacts> = {}): NodeFacts {
  return { process, node: 'n', silentMs: 100, queued: {}, rules: [], intake: { ...NOTHING, ...intake }, ...more }
}

const NO_QUEUE = { name: 'q', jobs: 0, begun: 0 }

function facts(nodes: readonly NodeFacts[], more: Partial<LedgerFacts> = {}): LedgerFacts {
  return {
    nodes,
    reportQueues: [NO_QUEUE],
    handlerQueues: new Map(),
    letters: 0,
    arrived: new Map(),
    handlers: new Map(),
    oldestMs: undefined,
    ...more,
  }
}

const arrivals = (process: string, records: number, parcels: number) => new Map([[process, { records, parcels }]])
/** Ended without a word: 100 accepted, 60 queued, 40 held at its last sign. */
const dead = (more: Partial<NodeFacts> = {}) =>
  node('n-1', { accepted: 100, delivered: 60, held: 40 }, { silentMs: 60_000, queued: { 'n-1': [60, 6] }, ...more })

describe('a process that ended without a word', () => {
  it('has lost what it held, less what came after its last sign', () => {
    const [finding] = findingsOf(facts([dead()], { arrived: arrivals('n-1', 85, 8) }), undefined)
    expect(finding).toMatchObject({ where: 'node', name: 'n-1', atLeast: 15 })
    expect(finding?.isUnsettled).toBeUndefined()
    expect(findingsOf(facts([dead()], { arrived: arrivals('n-1', 100, 9) }), undefined)).toEqual([])
  })

  it('is alive until it has been silent for long, or its node has a younger one', () => {
    const arrived = arrivals('n-1', 60, 6)
    expect(findingsOf(facts([dead({ silentMs: 20_000 })], { arrived }), undefined)).toEqual([])
    const younger = facts([dead({ silentMs: 5_000 }), node('n-2', {})], { arrived })
    expect(findingsOf(younger, undefined)).toMatchObject([{ name: 'n-1', atLeast: 40 }])
    expect(reportOf(younger, [], true).nodes).toMatchObject([
      { state: 'gone', lost: 40 },
      { state: 'alive', lost: 0 },
    ])
    expect(findingsOf(facts([dead({ hasEnded: true })], { arrived }), undefined)).toEqual([])
  })

  it('may have more in the queue, while a job waits that is as old', () => {
    const waits = (oldestMs: number) =>
      findingsOf(
        facts([dead()], { arrived: arrivals('n-1', 60, 6), reportQueues: [{ ...NO_QUEUE, jobs: 1 }], oldestMs }),
        undefined,
      )
    expect(waits(61_000)).toMatchObject([{ isUnsettled: 'waiting' }])
    expect(waits(30_000)[0]?.isUnsettled).toBeUndefined()
  })

  it('has not lost what lies on its disk, nor what the next process read from there and queued', () => {
    const stored = dead({ intake: { ...NOTHING, accepted: 100, delivered: 60, held: 10, stored: 30 } })
    const next = (records: number, left: number) =>
      node(
        'n-2',
        { accepted: 30, recovered: 30, delivered: records, stored: left },
        { queued: { 'n-1': [records, 3] } },
      )
    const found = (next: NodeFacts, came: number) =>
      findingsOf(facts([stored, next], { arrived: arrivals('n-1', came, 9) }), undefined)
    // Five of the ten that it held came after its last sign.
    expect(found(next(30, 0), 95)).toMatchObject([{ name: 'n-1', atLeast: 5 }])
    expect(found(next(10, 20), 75)).toMatchObject([{ name: 'n-1', atLeast: 5, isUnsettled: 'waiting' }])
    expect(found(next(30, 0), 100)).toEqual([])
  })

  it('may have queued what its disk still has: that is queued once, and not missing', () => {
    const ended = dead({ intake: { ...NOTHING, accepted: 100, delivered: 80, stored: 20 }, queued: { 'n-1': [80, 8] } })
    const next = node('n-2', { accepted: 40, recovered: 40, delivered: 40 }, { queued: { 'n-1': [40, 4] } })
    expect(findingsOf(facts([ended, next], { arrived: arrivals('n-1', 100, 10) }), undefined)).toEqual([])
    const missing = findingsOf(facts([ended, next], { arrived: arrivals('n-1', 90, 9) }), undefined)
    expect(missing).toMatchObject([{ where: 'queue', name: 'q', atLeast: 10 }])
  })
})

describe('what is in motion', () => {
  const queued = node('n-1', { accepted: 30, delivered: 30 }, { queued: { 'n-1': [30, 3] } })

  it('is not missing while it waits in the queue, or has come before its node could say so', () => {
    const waiting = { arrived: arrivals('n-1', 10, 1), reportQueues: [{ ...NO_QUEUE, jobs: 2 }] }
    expect(findingsOf(facts([queued], waiting), undefined)).toEqual([])
    expect(findingsOf(facts([queued], { arrived: arrivals('n-1', 50, 5) }), undefined)).toEqual([])
    const fewer = { ...waiting, reportQueues: [{ ...NO_QUEUE, jobs: 1 }] }
    expect(findingsOf(facts([queued], fewer), undefined)).toMatchObject([{ where: 'queue', atLeast: 1 }])
  })

  it('is what a handler was given since the last look, or a fan-out that was interrupted has counted', () => {
    const counts = (entered: number) =>
      new Map([
        [
          'h',
          new Map([
            ['batchesIn', entered],
            ['held', 20],
            ['accepted', 20],
          ]),
        ],
      ])
    const here = { handlers: counts(2), handlerQueues: new Map([['h', { ...NO_QUEUE, jobs: 1 }]]) }
    expect(findingsOf(facts([], here), counts(1))).toEqual([])
    expect(findingsOf(facts([], here), counts(2))).toMatchObject([{ where: 'handler', name: 'h', atLeast: 1 }])
    const begun = { ...here, reportQueues: [{ ...NO_QUEUE, jobs: 1, begun: 1 }] }
    expect(findingsOf(facts([], begun), counts(2))).toMatchObject([{ name: 'h', isUnsettled: 'moving' }])
  })

  it('cannot be what a handler has more of than it was given', () => {
    const odd = new Map([
      [
        'h',
        new Map([
          ['accepted', 5],
          ['delivered', 9],
          ['held', -4],
        ]),
      ],
    ])
    expect(findingsOf(facts([], { handlers: odd }), undefined)).toMatchObject([{ where: 'handler', atLeast: 4 }])
    const hole = new Map([
      [
        'h',
        new Map([
          ['accepted', 9],
          ['delivered', 5],
          ['dropped:x', 1],
        ]),
      ],
    ])
    expect(findingsOf(facts([], { handlers: hole }), undefined)).toMatchObject([{ where: 'handler', atLeast: 3 }])
    const off = node('n-1', { accepted: 9, delivered: 5 }, { hasEnded: true })
    expect(findingsOf(facts([off]), undefined)).toMatchObject([{ where: 'node', name: 'n-1', atLeast: 4 }])
  })
})
