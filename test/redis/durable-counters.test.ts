import { describe, expect, it } from 'vitest'
import { redisCounters } from '../../src/redis/durable-counters.ts'
import { MemoryCounters } from '../../src/telemetry/durable-counters.ts'
import { sharedRedis } from './shared-redis.ts'
import { realClock, until } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 1_000 })

const open = (handler: string, leaseMs?: number) =>
  redisCounters({ link, clock: realClock, handler, ...(leaseMs === undefined ? {} : { leaseMs }) })

describe.each(['memory', 'Redis'])('durable counters in %s', (kind) => {
  it('apply all changes of a batch, once', async () => {
    const counters = kind === 'Redis' ? open('once') : new MemoryCounters()
    await counters.apply('b-1', [
      { field: 'a', add: 2 },
      { field: 'b', set: 7 },
    ])
    await counters.apply('b-1', [{ field: 'a', add: 2 }])
    await counters.apply('b-2', [
      { field: 'a', add: 0.5 },
      { field: 'b', set: 3 },
    ])
    const [register] = [...(await counters.registers()).values()]
    expect(Object.fromEntries(register ?? [])).toEqual({ a: 2.5, b: 3 })
    if (kind === 'Redis') (counters as ReturnType<typeof open>).close()
  })

  it('forget fields only when the guard is as it was', async () => {
    const counters = kind === 'Redis' ? open('forget') : new MemoryCounters()
    await counters.apply('b-1', [
      { field: 't', set: 5 },
      { field: 'v', add: 1 },
    ])
    const [register = ''] = [...(await counters.registers()).keys()]
    await counters.forget?.(register, { field: 't', value: 4 }, ['t', 'v'])
    expect((await counters.registers()).get(register)?.size).toBe(2)
    await counters.forget?.(register, { field: 't', value: 5 }, ['t', 'v'])
    expect((await counters.registers()).get(register)?.size ?? 0).toBe(0)
    if (kind === 'Redis') (counters as ReturnType<typeof open>).close()
  })
})

describe('durable counters in Redis', () => {
  it('give each register to exactly one live process, and adopt those of dead ones', async () => {
    const [a, b] = [open('adopt', 500), open('adopt', 500)]
    // Its heartbeat never comes, as in a process that was stopped.
    const still = { ...realClock, after: () => () => undefined }
    const dead = redisCounters({ link, clock: still, handler: 'adopt', leaseMs: 500 })
    await a.apply('b-1', [{ field: 'x', add: 1 }])
    await b.apply('b-2', [{ field: 'x', add: 2 }])
    await dead.apply('b-3', [{ field: 'x', add: 4 }])
    const names = async () => (await Promise.all([a.registers(), b.registers()])).flatMap((map) => [...map.keys()])
    expect(await names()).toHaveLength(2)
    await until(async () => (await names()).length === 3, 'the dead one is adopted')
    const all = await Promise.all([a.registers(), b.registers()])
    expect(all.flatMap((map) => [...map.values()]).reduce((sum, register) => sum + (register.get('x') ?? 0), 0)).toBe(7)
    expect(new Set(await names()).size).toBe(3)
    // Taken for dead, but not dead: it goes on with a new register, and its old one stays where it is.
    await dead.apply('b-4', [{ field: 'x', add: 8 }])
    const late = await dead.registers()
    expect([...late.values()].map((register) => register.get('x'))).toEqual([8])
    dead.close()
    a.close()
    b.close()
  })

  it('leave out what is no number, and keep a register of which nobody can tell since when it is adopted', async () => {
    const counters = open('garbage')
    await counters.apply('b-1', [{ field: 'a', add: 2 }])
    const [register = ''] = [...(await counters.registers()).keys()]
    const base = '{intermix-counters-garbage}:'
    await link.run((client) => client.hset(`${base}register:${register}`, 'b', 'many', 'c', '1e999'))
    await link.run((client) => client.zadd(`${base}leases`, '1', 'lost'))
    await link.run((client) => client.hset(`${base}adopted`, register, 'long ago', 'lost', '9'.repeat(30)))
    const found = await counters.registers()
    expect([...found.keys()].sort()).toEqual([register, 'lost'].sort())
    expect([...(found.get(register) ?? [])]).toEqual([['a', 2]])
    counters.close()
  })

  it('give away their registers when they are closed', async () => {
    const [a, b] = [open('close'), open('close')]
    await a.apply('b-1', [{ field: 'x', add: 1 }])
    expect((await b.registers()).size).toBe(1)
    a.close()
    await until(async () => (await b.registers()).size === 2, 'they are adopted')
    b.close()
  })

  it('apply a batch that two processes try at once only once', async () => {
    const [a, b] = [open('race'), open('race')]
    for (let i = 0; i < 50; i++) {
      await Promise.all([a, b].map((counters) => counters.apply(`b-${i}`, [{ field: 'x', add: 1 }])))
    }
    const all = await Promise.all([a.registers(), b.registers()])
    expect(all.flatMap((map) => [...map.values()]).reduce((sum, register) => sum + (register.get('x') ?? 0), 0)).toBe(
      50,
    )
    a.close()
    b.close()
  })
})
