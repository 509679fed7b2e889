import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TuningController, type WatchedPart } from '../../../src/cache/tuning/controller.ts'
import type { Curve } from '../../../src/cache/tuning/curve.ts'
import { costOf, divide } from '../../../src/cache/tuning/division.ts'
import { costAt, lowerHull } from '../../../src/cache/tuning/hull.ts'

const BUDGET = 1_000

/** A curve by what is missed at some sizes, on which all samples agree. */
function curve(points: readonly (readonly [bytes: number, miss: number])[], lookups = 100_000): Curve {
  return {
    ratio: 1,
    lookups,
    points: points.map(([bytes, miss]) => ({ bytes, miss, replicas: [miss, miss, miss, miss] })),
  }
}

const GOOD = curve([
  [100, 0.9],
  [500, 0.5],
  [1_000, 0.1],
])
const FLAT = curve([
  [10, 0.5],
  [1_000, 0.5],
])

function part(id: string, bytes: number, its: Curve, more: Partial<WatchedPart> = {}): WatchedPart {
  const since = { lookups: 0, missed: 0, sampled: 0, curve: its }
  return { id, bytes, curve: its, lookupsPerSecond: 100, missCost: 0.01, since, isTried: true, ...more }
}

describe('a hull', () => {
  const points = fc.array(fc.tuple(fc.integer({ min: 1, max: 1_000 }), fc.nat(1_000)), { minLength: 1, maxLength: 12 })
  it('lies below all points, each further piece brings less, and it ends where they end', () => {
    fc.assert(
      fc.property(points, (pairs) => {
        const all = [...new Map(pairs)].map(([bytes, cost]) => ({ bytes, cost })).toSorted((a, b) => a.bytes - b.bytes)
        const hull = lowerHull(all)
        for (const { bytes, cost } of all) expect(costAt(hull, bytes)).toBeLessThanOrEqual(cost + 1e-6)
        const slopes = hull.slice(1).map(({ bytes, cost }, i) => {
          const before = hull[i] as (typeof hull)[0]
          return (cost - before.cost) / (bytes - before.bytes)
        })
        expect(slopes).toEqual(slopes.toSorted((a, b) => a - b))
        expect([hull[0], hull.at(-1)]).toEqual([all[0], all.at(-1)])
      }),
    )
  })
})

describe('a division', () => {
  const anyCurve = fc
    .array(fc.tuple(fc.integer({ min: 1, max: BUDGET }), fc.double({ min: 0, max: 1, noNaN: true })), {
      minLength: 1,
      maxLength: 8,
    })
    .map((pairs) => {
      const sizes = [...new Set(pairs.map(([bytes]) => bytes))].toSorted((a, b) => a - b)
      const misses = pairs.map(([, miss]) => miss).toSorted((a, b) => b - a)
      return curve(sizes.map((bytes, i) => [bytes, misses[i] ?? 0]))
    })
  const anyPart = fc.record({ its: anyCurve, lookupsPerSecond: fc.nat(1_000), missCost: fc.nat(100) })

  it('gives each its floor, and all together no more than there is', () => {
    fc.assert(
      fc.property(fc.array(anyPart, { minLength: 1, maxLength: 70 }), (all) => {
        const parts = all.map(({ its, ...more }, i) => part(`${i}`, 1, its, more))
        const sizes = [...divide(parts, BUDGET).values()]
        expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(BUDGET + 1e-6)
        for (const size of sizes) expect(size).toBeGreaterThanOrEqual(Math.min(10, BUDGET / (2 * parts.length)) - 1e-9)
      }),
    )
  })

  it('gives to who gains, by what its misses cost', () => {
    const cheap = part('cheap', 500, GOOD)
    const dear = part('dear', 500, GOOD, { missCost: 1 })
    const sizes = divide([cheap, dear], BUDGET)
    expect(sizes.get('dear')).toBeGreaterThan(900)
    expect(sizes.get('cheap')).toBeLessThan(100)
  })

  it('sees beyond a level stretch', () => {
    const loop = curve([
      [500, 1],
      [600, 0],
      [1_000, 0],
    ])
    const sizes = divide([part('loop', 100, loop), part('other', 900, FLAT)], BUDGET)
    expect(sizes.get('loop')).toBeGreaterThanOrEqual(600)
  })

  it('leaves memory that brings nothing', () => {
    const sizes = divide([part('flat', 900, FLAT), part('too', 100, FLAT)], BUDGET)
    expect([...sizes.values()].reduce((a, b) => a + b, 0)).toBeLessThan(0.1 * BUDGET)
  })
})

describe('a controller', () => {
  function controlled() {
    let now = 0
    const controller = new TuningController({ now: () => now, restMs: 30, backOffMs: 300 })
    return { controller, at: (ms: number) => (now = ms) }
  }

  it('moves a tenth at most, and rests', () => {
    const { controller, at } = controlled()
    const decision = controller.decide([part('a', 200, GOOD), part('b', 800, FLAT)], BUDGET)
    expect(decision).toMatchObject({
      kind: 'move',
      sizes: new Map([
        ['a', 300],
        ['b', 700],
      ]),
    })
    at(29)
    expect(controller.decide([part('a', 300, GOOD), part('b', 700, FLAT)], BUDGET)).toEqual({
      kind: 'stay',
      reason: 'resting',
    })
    at(30)
    expect(controller.decide([part('a', 300, GOOD), part('b', 700, FLAT)], BUDGET)).toMatchObject({ kind: 'move' })
  })

  it('never has more than there is, whatever the curves, and comes to rest', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 100 }), (split, cost) => {
        const { controller, at } = controlled()
        let sizes = new Map([
          ['a', split * 10],
          ['b', BUDGET - split * 10],
        ])
        let stays = 0
        for (let turn = 0; turn < 40; turn++) {
          at(turn * 30)
          const parts = [part('a', sizes.get('a') ?? 0, GOOD, { missCost: cost }), part('b', sizes.get('b') ?? 0, GOOD)]
          const decision = controller.decide(parts, BUDGET)
          if (decision.kind === 'stay') stays++
          else sizes = new Map(decision.sizes)
          expect([...sizes.values()].reduce((one, two) => one + two, 0)).toBeLessThanOrEqual(BUDGET)
        }
        expect(stays).toBeGreaterThan(20)
      }),
    )
  })

  it('knows nothing before there were enough look-ups', () => {
    const few = curve([[500, 0.5]], 100)
    expect(controlled().controller.decide([part('a', 500, few)], BUDGET)).toEqual({ kind: 'stay', reason: 'unknown' })
  })

  it('waits where samples differ about the gain', () => {
    const points = [100, 500, 1_000].map((bytes, i) => {
      return { bytes, miss: 0.5 - i / 100, replicas: [0.9 - i / 2, 0.1 + i / 3, 0.5, 0.5] }
    })
    const unsure = { ratio: 1, lookups: 1e5, points }
    const parts = [part('a', 200, unsure), part('b', 800, FLAT)]
    expect(controlled().controller.decide(parts, BUDGET)).toEqual({ kind: 'stay', reason: 'uncertain' })
  })

  it('takes back a move after which more is missed than without it, and leaves it at that for a while', () => {
    const { controller, at } = controlled()
    const before = [part('a', 200, GOOD), part('b', 800, FLAT)]
    expect(controller.decide(before, BUDGET).kind).toBe('move')
    at(30)
    const since = { lookups: 100_000, missed: 99_000, sampled: 50_000, curve: FLAT }
    const after = [part('a', 300, GOOD), part('b', 700, FLAT, { since })]
    expect(controller.decide(after, BUDGET)).toMatchObject({
      kind: 'back',
      sizes: new Map([
        ['a', 200],
        ['b', 800],
      ]),
    })
    at(60)
    expect(controller.decide(before, BUDGET)).toEqual({ kind: 'stay', reason: 'back_off' })
    at(330)
    expect(controller.decide(before, BUDGET).kind).toBe('move')
  })

  it('takes nothing back where requests have changed for the copies, too', () => {
    const { controller, at } = controlled()
    expect(controller.decide([part('a', 200, GOOD), part('b', 800, FLAT)], BUDGET).kind).toBe('move')
    at(30)
    const worse = curve([
      [10, 0.99],
      [1_000, 0.99],
    ])
    const since = { lookups: 100_000, missed: 99_000, sampled: 50_000, curve: worse }
    const after = [part('a', 300, GOOD), part('b', 700, FLAT, { since })]
    expect(controller.decide(after, BUDGET).kind).toBe('move')
  })

  it('gives back nothing of a cache before as much has come as the memory holds', () => {
    const untried = part('a', 500, FLAT, { isTried: false })
    const { controller } = controlled()
    expect(controller.decide([untried, part('b', 500, FLAT)], BUDGET)).toMatchObject({
      kind: 'shrink',
      sizes: new Map([
        ['a', 500],
        ['b', 400],
      ]),
    })
    const both = [untried, part('b', 500, FLAT, { isTried: false })]
    expect(controlled().controller.decide(both, BUDGET)).toEqual({ kind: 'stay', reason: 'settled' })
  })

  it('gives back memory that brings nothing', () => {
    const parts = [part('a', 500, FLAT), part('b', 500, FLAT)]
    const decision = controlled().controller.decide(parts, BUDGET)
    expect(decision).toMatchObject({
      kind: 'shrink',
      sizes: new Map([
        ['a', 450],
        ['b', 450],
      ]),
    })
    expect(costOf(parts, () => 450)).toBe(costOf(parts, () => 500))
  })
})
