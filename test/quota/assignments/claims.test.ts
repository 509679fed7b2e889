// What processes hold of one limit, in Redis.

import { describe, expect, it } from 'vitest'
import { RedisClaims } from '../../../src/quota/assignments/claims.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { sharedRedis } from '../../redis/shared-redis.ts'
import { withTime } from '../redis-time.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
const KEY = 'd|key=a#minute'

let meshes = 0

function mesh() {
  const prefix = `claims${++meshes}:`
  const clock = new FakeClock()
  const timed = withTime(link, () => clock.now())
  const node = (id: string) => {
    const claims = new RedisClaims({ link: timed, prefix, id, charging: { count: 3 } })
    const basis = { weight: 1, wanted: 5, spare: 2, keeps: 0, used: 0, total: 10, forMs: 30_000 }
    return (holds: number, parts: Partial<typeof basis> = {}) => claims.claim(KEY, { ...basis, holds, ...parts })
  }
  const ttl = () => link.run((client) => client.pttl(`${prefix}{${KEY}}:claims`))
  return { clock, ttl, one: node('one'), two: node('two'), three: node('three') }
}

describe('claims', () => {
  it('are never more than there is, and tell each node of the others, in one order', async () => {
    const { one, two, three } = mesh()
    expect(await one(7)).toEqual({ held: 7, others: [], before: 0 })
    expect(await two(7, { weight: 3 })).toEqual({ held: 3, others: [{ weight: 1, wanted: 5, spare: 2 }], before: 1 })
    expect((await three(7)).held).toBe(0)
    expect(await one(4)).toMatchObject({ held: 4, before: 0, others: [{ weight: 3 }, { weight: 1 }] })
    expect((await three(7)).held).toBe(3)
    expect(await two(9)).toMatchObject({ held: 3, before: 1 })
  })

  it('that are kept are not taken away, although there is less than before', async () => {
    const { one, two } = mesh()
    await one(7)
    expect((await one(9, { keeps: 6, total: 2 })).held).toBe(6)
    expect((await two(1, { total: 2 })).held).toBe(0)
  })

  it('hold what was used once more: others may have looked at the limit before that was charged', async () => {
    const { one, two } = mesh()
    await one(6)
    // Four of the six are used and charged, so that six of ten are left; another node still believes in ten.
    expect((await one(2, { used: 4, total: 6 })).held).toBe(2)
    expect((await two(9)).held).toBe(4)
    await one(2, { total: 6 })
    expect((await two(9, { total: 6 })).held).toBe(4)
  })

  it('of a node that is gone are free again in time, and leave nothing behind', async () => {
    const { clock, ttl, one, two } = mesh()
    await one(10, { forMs: 60_000 })
    expect((await two(5, { forMs: 1_000 })).held).toBe(0)
    expect(await ttl()).toBeGreaterThan(50_000)
    await clock.advance(59_999)
    expect((await two(5)).held).toBe(0)
    await clock.advance(1)
    expect(await two(5)).toEqual({ held: 5, others: [], before: 0 })
  })
})
