// Callers choose keys. A backend that fails on some of them must stay there for the others, and one that fails on all of
// them must be left in peace.
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../load/random.ts'
import type { CallContext } from '../../src/adapter-kit/define-adapter.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { guardOnFakeClock, outcomeOf } from './guard-support.ts'

const PER_SECOND = 200
const SECONDS = 20
const ATTACK_AT_S = 5

const keyOf = (text: string) => createHash('sha256').update(text).digest('base64url')
const answeredBadly = () => new IntermixError('BACKEND_FAILED', 'HTTP status 500', { backend: 'answered' })

interface Traffic {
  /** Share of requests that the backend fails on, each with a key of its own unless `samePoison`. */
  readonly poison: number
  /** Good requests come from so many keys; `undefined`: each has a key of its own. */
  readonly goodKeys?: number
  readonly samePoison?: boolean
  /** What the backend does with poison. */
  readonly how?: 'error' | 'hang' | 'reset'
}

const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')))
  })

/** Sends traffic of a steady rate through a guard, poisoned after a while; what of it reached the backend from then on. */
async function send({ poison, goodKeys, samePoison = false, how = 'error' }: Traffic) {
  const random = seededRandom(42)
  const { guard, clock, deadline, later, failLater, warnings } = guardOnFakeClock({}, 200, seededRandom(7))
  const sent = { good: 0, poison: 0 }
  const passed = { good: 0, poison: 0 }
  const fail = (signal: AbortSignal) => {
    if (how === 'hang') return hang(signal)
    return failLater(2, how === 'error' ? answeredBadly() : new IntermixError('BACKEND_FAILED', 'connection reset'))
  }
  const outcomes: Promise<unknown>[] = []
  for (let i = 0; i < PER_SECOND * SECONDS; i++) {
    const isCounted = i >= ATTACK_AT_S * PER_SECOND
    const kind = isCounted && random() < poison ? 'poison' : 'good'
    const name = kind === 'good' ? `good ${goodKeys === undefined ? i : i % goodKeys}` : `poison ${samePoison ? 0 : i}`
    if (isCounted) sent[kind] += 1
    const call = ({ signal }: CallContext) => {
      if (isCounted) passed[kind] += 1
      return kind === 'good' ? later(5, 'fine') : fail(signal)
    }
    outcomes.push(outcomeOf(() => guard.run(call, { ...deadline(), key: keyOf(name), retry: false })))
    await clock.advance(1_000 / PER_SECOND)
  }
  await clock.advance(1_000)
  await Promise.all(outcomes)
  return { good: passed.good / sent.good, poison: passed.poison / sent.poison, sent, passed, warnings }
}

describe('a backend that fails on some keys', () => {
  it.each([
    { poison: 0.22, least: 1 },
    { poison: 0.5, least: 0.9 },
    { poison: 0.9, least: 0.17 },
  ])(
    'is there for at least $least of the good requests with new keys beside $poison poisoned ones',
    async ({ poison, least }) => {
      expect((await send({ poison })).good).toBeGreaterThanOrEqual(least)
    },
  )

  it.each([0.22, 0.5, 0.9, 0.97])(
    'is there for nearly all requests with keys known to be good beside %d',
    async (poison) => {
      expect((await send({ poison, goodKeys: 50 })).good).toBeGreaterThanOrEqual(0.98)
    },
  )

  it('is there for all others where one key goes on failing', async () => {
    expect((await send({ poison: 0.9, samePoison: true })).good).toBe(1)
  })

  it.each(['hang', 'reset'] as const)('by a %s stays there for the good requests, too', async (how) => {
    expect((await send({ poison: 0.22, how })).good).toBeGreaterThanOrEqual(0.99)
  })

  // Some are lost at first, until enough have hung to be throttled.
  it.each([
    { poison: 0.7, least: 0.98 },
    { poison: 0.9, least: 0.7 },
  ])('by hanging on $poison of them leaves most places to the good ones', async ({ poison, least }) => {
    expect((await send({ poison, how: 'hang', goodKeys: 50 })).good).toBeGreaterThanOrEqual(least)
  })
})

describe('a backend that fails on all keys', () => {
  it('with errors is asked ten times a second and a tenth of the rest', async () => {
    const { passed } = await send({ poison: 1 })
    const perSecond = passed.poison / (SECONDS - ATTACK_AT_S)
    expect(perSecond).toBeGreaterThanOrEqual(10)
    expect(perSecond).toBeLessThan(PER_SECOND * 0.25)
  })

  it('by a hang is left alone however few the requests are, and whether or not it ever answered', async () => {
    for (const answers of [0, 100]) {
      const { guard, clock, deadline, later } = guardOnFakeClock({}, 200)
      const ask = (name: string, call: (context: CallContext) => Promise<unknown>) =>
        outcomeOf(() => guard.run(call, { ...deadline(), key: keyOf(name), retry: false }))
      for (let i = 0; i < answers; i++) {
        void ask(`good ${i}`, () => later(5, 'fine'))
        await clock.advance(16)
      }
      let hung = 0
      for (let i = 0; i < 600; i++) {
        void ask(`new ${i}`, ({ signal }) => {
          hung += 1
          return hang(signal)
        })
        await clock.advance(16)
      }
      expect(hung).toBeLessThan(60)
    }
  })

  it.each(['hang', 'reset'] as const)('by a %s is left alone but for a probe every second or two', async (how) => {
    const { passed } = await send({ poison: 1, how })
    // What was in flight before it was known, and then the probes.
    expect(passed.poison).toBeLessThanOrEqual(20 + SECONDS)
    expect(passed.poison).toBeGreaterThanOrEqual((SECONDS - ATTACK_AT_S) / 3)
  })

  it('is asked in full soon after it is well again', async () => {
    const { guard, clock, deadline } = guardOnFakeClock({}, 200, seededRandom(3))
    const ask = async (i: number, isWell: boolean) => {
      const call = () => (isWell ? Promise.resolve('fine') : Promise.reject(answeredBadly()))
      return await outcomeOf(() => guard.run(call, { ...deadline(), key: keyOf(`${i}`), retry: false }))
    }
    for (let i = 0; i < 1_000; i++) {
      await ask(i, false)
      await clock.advance(5)
    }
    const refusedAt: number[] = []
    for (let i = 0; i < 1_000; i++) {
      const outcome = await ask(i, true)
      if ('error' in outcome) refusedAt.push(i / PER_SECOND)
      await clock.advance(5)
    }
    expect(Math.max(...refusedAt)).toBeLessThan(3)
  })
})

describe('the log', () => {
  it('tells once when a backend fails more often than not, and once when it is well', async () => {
    const { guard, clock, deadline, warnings } = guardOnFakeClock({}, 200)
    const ask = (call: () => Promise<unknown>) => outcomeOf(() => guard.run(call, { ...deadline(), retry: false }))
    for (let i = 0; i < 200; i++) await ask(() => Promise.reject(answeredBadly()))
    expect(warnings).toEqual([
      { fields: { handler: 'h', reason: 'HTTP status 500' }, message: expect.stringContaining('fails') },
    ])
    await clock.advance(60_000)
    for (let i = 0; i < 400; i++) {
      await ask(() => Promise.resolve('fine'))
      await clock.advance(100)
    }
    expect(warnings[1]).toMatchObject({
      fields: { handler: 'h', troubledMs: expect.any(Number) },
      message: 'backend is back',
    })
    expect(warnings).toHaveLength(2)
  })

  it('tells once when a backend is away and once when it is back, however many calls fail meanwhile', async () => {
    const { guard, clock, deadline, warnings } = guardOnFakeClock({}, 200)
    const ask = (call: () => Promise<unknown>) => outcomeOf(() => guard.run(call, { ...deadline(), retry: false }))
    for (let i = 0; i < 500; i++) {
      await ask(() => Promise.reject(new IntermixError('BACKEND_FAILED', 'connection refused')))
      await clock.advance(20)
    }
    expect(warnings).toEqual([
      { fields: { handler: 'h', reason: 'connection refused' }, message: expect.stringContaining('away') },
    ])
    await clock.advance(2_000)
    await ask(() => Promise.resolve('fine'))
    expect(warnings[1]).toMatchObject({ message: 'backend is back' })
    expect(warnings).toHaveLength(2)
  })

  it('does not tell each time when a backend comes and goes', async () => {
    const { guard, clock, deadline, warnings } = guardOnFakeClock({}, 200)
    const ask = (call: () => Promise<unknown>) => outcomeOf(() => guard.run(call, { ...deadline(), retry: false }))
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 20 && guard.healthy(); i++) {
        await ask(() => Promise.reject(new IntermixError('BACKEND_FAILED', 'refused')))
        await clock.advance(20)
      }
      await clock.advance(1_000)
      await ask(() => Promise.resolve('fine'))
    }
    expect(warnings.length).toBeLessThanOrEqual(4 + 100 / 15 + 1)
    expect(warnings.length).toBeGreaterThanOrEqual(4)
    for (let i = 0; i < 400; i++) {
      await ask(() => Promise.resolve('fine'))
      await clock.advance(200)
    }
    expect(warnings.at(-1)?.message).toBe('backend is back')
    expect(warnings.some(({ fields }) => 'changesLeftOut' in fields)).toBe(true)
  })
})
