import { describe, expect, it } from 'vitest'
import type { LimitCharge, LimitRule } from '../../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../../src/quota/memory-limits.ts'
import { QuotaUsage, type UsageOrder } from '../../../src/quota/usage/quota-usage.ts'
import { WatchedLimits } from '../../../src/quota/usage/watched-limits.ts'
import { FakeClock } from '../../helpers/clock.ts'

const rule: LimitRule = { algorithm: 'fixedWindow', amount: 10, windowMs: 3_600_000, from: 'epoch' }

function process() {
  const clock = new FakeClock()
  const usage = new QuotaUsage({ link: undefined, clock, prefix: 'p:', id: 'me' })
  const limits = new WatchedLimits({
    limits: new MemoryLimits({ clock }),
    clock,
    onUse: () => usage.note(),
    resetShared: undefined,
  })
  usage.add('h', limits)
  const charge = (key: string, amount = 1, of = rule): void => {
    const asked: LimitCharge = { key, rule: of, amount, name: () => ({ limit: 'l', values: [['user', key]] }) }
    void limits.charge([asked], { mode: 'each' })
  }
  const top = async (by: UsageOrder) =>
    (await usage.top({ by, limit: 3 })).map(({ key, asked, refused, left }) => ({ key, asked, refused, left }))
  return { clock, charge, top, limits, usage }
}

describe('what limits are used for', () => {
  it('is told by what is asked for, what is refused, and what is near to its limit', async () => {
    const { charge, top } = process()
    charge('a', 9)
    for (let each = 0; each < 12; each++) charge('b')
    charge('c', 2)
    expect(await top('used')).toEqual([
      { key: 'b', asked: 12, refused: 2, left: 0 },
      { key: 'a', asked: 9, refused: 0, left: 1 },
      { key: 'c', asked: 2, refused: 0, left: 8 },
    ])
    expect((await top('refused')).map(({ key }) => key)).toEqual(['b'])
    expect((await top('near')).map(({ key }) => key)).toEqual(['b', 'a', 'c'])
  })

  it('is found among many counters, also where it is not asked for any more', async () => {
    const { charge, top, clock } = process()
    charge('almost', 9)
    for (let at = 0; at < 20_000; at++) {
      charge(`some ${at}`)
      if (at % 100 === 0) charge('often', 3, { ...rule, amount: 1_000_000 })
    }
    await clock.advance(600_000)
    for (let at = 0; at < 300; at++) charge(`other ${at}`)
    charge('often', 3, { ...rule, amount: 1_000_000 })
    expect((await top('near'))[0]).toMatchObject({ key: 'almost', left: 1 })
    expect((await top('used'))[0]?.key).toBe('often')
  })

  it('fades, and ends with the window', async () => {
    const { charge, top, clock } = process()
    charge('a', 10)
    await clock.advance(60_000)
    expect((await top('used'))[0]).toMatchObject({ key: 'a', asked: 4 })
    await clock.advance(3_600_000)
    expect(await top('near')).toEqual([])
  })

  it('names counters by what they are, and long values in short', async () => {
    const { limits, usage } = process()
    const name = () => ({ limit: 'l', values: [['user', 'x'.repeat(5_000)] as const] })
    void limits.charge([{ key: 'k', rule, amount: 1, name }], { mode: 'each' })
    const [seen] = await usage.top({ by: 'used', limit: 1 })
    expect(seen?.name.values[0]?.[1]).toHaveLength(201)
  })
})

describe('a reset', () => {
  it('forgets one counter, or all whose keys begin so', async () => {
    const { charge, limits } = process()
    for (const key of ['q|a', 'q|b', 'r|a']) charge(key, 10)
    expect(await limits.reset({ counters: [{ key: 'q|a', rule }] })).toBe(1)
    const left = async (key: string) => (await limits.look({ key, rule }))?.left
    expect([await left('q|a'), await left('q|b'), await left('r|a')]).toEqual([10, 0, 0])
    expect(await limits.reset({ startingWith: 'q|' })).toBe(1)
    expect([await left('q|b'), await left('r|a')]).toEqual([10, 0])
    expect(await limits.reset({ startingWith: '' })).toBe(1)
  })
})
