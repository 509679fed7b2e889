import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CounterGroup, DurableCounters } from '../../src/adapter-kit/durable-counters.ts'
import { MemoryCounters } from '../../src/adapter-kit/memory-counters.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'
import { RedisCounters } from '../../src/redis/counters/redis-counters.ts'
import { sharedRedis } from './shared-redis.ts'
import { realClock, until } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 1_000 })

const GROUP: CounterGroup = { name: 'g', maxFields: 1000, overflow: 'other', maxBytes: 1_000_000 }

const open = (handler: string, leaseMs?: number, clock = realClock) =>
  new RedisCounters({ link, clock, handler, ...(leaseMs === undefined ? {} : { leaseMs }) })

/** Numbers by register and field. */
async function numbersOf(counters: DurableCounters, group = 'g'): Promise<Record<string, Record<string, number[]>>> {
  const { registers } = await counters.held()
  return Object.fromEntries(
    [...registers].map(([register, groups]) => [
      register,
      Object.fromEntries([...(groups.get(group) ?? [])].map(([field, { numbers }]) => [field, [...numbers]])),
    ]),
  )
}

const add = (field: string, ...numbers: number[]) => [{ group: GROUP, field, add: numbers }]

/** Beats never come, as in a process that stood still; shorter waits end. */
const withoutBeats = {
  ...realClock,
  after: (ms: number, call: () => void) => (ms > 100 ? () => undefined : realClock.after(ms, call)),
}

async function sumOf(counters: readonly RedisCounters[], field: string): Promise<number> {
  const all = await Promise.all(counters.map((each) => numbersOf(each)))
  return all
    .flatMap((registers) => Object.values(registers))
    .reduce((sum, fields) => sum + (fields[field]?.[0] ?? 0), 0)
}

describe.each(['memory', 'Redis'])('durable counters in %s', (kind) => {
  const create = (name: string) => (kind === 'Redis' ? open(name) : new MemoryCounters(realClock))
  const close = async (counters: DurableCounters) => {
    if (counters instanceof RedisCounters) await counters.close()
  }

  it('apply all changes of a batch, once', async () => {
    const counters = create('once')
    await counters.apply('b-1', [...add('a', 2, 1), { group: GROUP, field: 'b', set: [7] }])
    await counters.apply('b-1', add('a', 2, 1))
    await counters.apply('b-2', [...add('a', 0.5, 0), { group: GROUP, field: 'b', set: [3] }])
    await counters.apply('b-3', add('a', 0, 4))
    expect(await numbersOf(counters)).toEqual({ 0: { a: [2.5, 5], b: [3] } })
    await close(counters)
  })

  it('forget what is over, and let in others in its place', async () => {
    const counters = create('forget')
    const group = { ...GROUP, maxFields: 1 }
    expect(await counters.apply('b-1', [{ group, field: 'a', add: [1] }])).toBe(0)
    expect(await counters.apply('b-2', [{ group, field: 'b', add: [1] }])).toBe(1)
    await counters.forget(({ field }) => field === 'a')
    expect(await counters.apply('b-3', [{ group, field: 'c', add: [1] }])).toBe(0)
    expect(await numbersOf(counters)).toEqual({ 0: { other: [1], c: [1] } })
    await counters.forget(() => true)
    expect(await numbersOf(counters)).toEqual({ 0: {} })
    await close(counters)
  })

  it('fold fields beyond the bounds of number and bytes into the overflow of their group', async () => {
    const counters = create('bounds')
    const few = { ...GROUP, name: 'few', maxFields: 2 }
    const changes = ['a', 'b', 'c', 'd', 'a'].map((field) => ({ group: few, field, add: [1] }))
    expect(await counters.apply('b-1', changes)).toBe(2)
    expect(await counters.apply('b-2', changes)).toBe(2)
    expect(await numbersOf(counters, 'few')).toEqual({ 0: { a: [4], b: [2], other: [4] } })
    const small = { ...GROUP, name: 'small', maxBytes: 1000 }
    expect(await counters.apply('b-3', [{ group: small, field: 'x'.repeat(1000), add: [1] }])).toBe(1)
    expect(await counters.apply('b-4', [{ group: small, field: 'x', add: [1] }])).toBe(0)
    expect(await numbersOf(counters, 'small')).toEqual({ 0: { x: [1], other: [1] } })
    await close(counters)
  })

  it('differ in revision when, and only when, something has changed', async () => {
    const counters = create('revision')
    await counters.apply('b-1', add('a', 1))
    const { revision } = await counters.held()
    expect((await counters.held()).revision).toBe(revision)
    await counters.apply('b-2', add('a', 1))
    expect((await counters.held()).revision).not.toBe(revision)
    await close(counters)
  })
})

describe('durable counters in Redis', () => {
  it('take up where a process ended that closed them', async () => {
    const first = open('restart')
    await first.apply('b-1', add('x', 1))
    await first.close()
    const second = open('restart')
    await second.apply('b-1', add('x', 1))
    await second.apply('b-2', add('x', 2))
    expect(await numbersOf(second)).toEqual({ 0: { x: [3] } })
    await second.close()
  })

  it('give each slot to exactly one live process, and those of the dead to another one', async () => {
    const [a, b] = [open('adopt', 500), open('adopt', 500)]
    await a.apply('b-1', add('x', 1))
    await b.apply('b-2', add('x', 2))
    const dead = open('adopt', 500, withoutBeats)
    await dead.apply('b-3', add('x', 4))
    const names = async () =>
      (await Promise.all([a, b].map((each) => numbersOf(each)))).flatMap((registers) => Object.keys(registers)).sort()
    expect(await names()).toEqual(['0', '1'])
    await until(async () => (await names()).join() === '0,1,2', 'the dead one is adopted')
    expect(await sumOf([a, b], 'x')).toBe(7)
    // Taken for dead, but not dead: what it still holds is not its own any more, and it is given another one.
    await dead.apply('b-4', add('x', 8))
    expect(await sumOf([a, b, dead], 'x')).toBe(15)
    await Promise.all([a, b, dead].map((each) => each.close()))
  })

  it('hand an adopted slot to a process that has none, so that restarts make no more of them', async () => {
    const survivor = open('hand-over', 500)
    await survivor.apply('b-0', add('x', 1))
    for (let life = 1; life <= 4; life++) {
      const next = open('hand-over', 500)
      await next.apply(`b-${life}`, add('x', 1))
      expect(await sumOf([survivor, next], 'x')).toBe(life + 1)
      await next.close()
      await until(async () => Object.keys(await numbersOf(survivor)).length === 2, 'it is adopted')
    }
    expect(await numbersOf(survivor)).toEqual({ 0: { x: [1] }, 1: { x: [4] } })
    await survivor.close()
  })

  it('apply a batch that two processes try at once only once, many at a time', async () => {
    const [a, b] = [open('race'), open('race')]
    const batches = Array.from({ length: 200 }, (_, i) => `b-${i}`)
    await Promise.all(batches.flatMap((id) => [a, b, a].map((counters) => counters.apply(id, add('x', 1)))))
    expect(await sumOf([a, b], 'x')).toBe(200)
    await Promise.all([a, b].map((each) => each.close()))
  })

  it('have one bound over all processes, which a label set that others have counts towards once', async () => {
    const [a, b] = [open('one-bound'), open('one-bound')]
    const group = { ...GROUP, maxFields: 2 }
    const count = (counters: RedisCounters, id: string, field: string) =>
      counters.apply(id, [{ group, field, add: [1] }])
    expect(await count(a, '1', 'x')).toBe(0)
    expect(await count(b, '2', 'x')).toBe(0)
    expect(await count(b, '3', 'y')).toBe(0)
    expect(await count(a, '4', 'z')).toBe(1)
    expect(await count(a, '5', 'y')).toBe(0)
    await b.forget(() => true)
    expect(await count(a, '6', 'z')).toBe(1)
    await a.forget(({ field }) => field === 'y')
    expect(await count(a, '7', 'z')).toBe(0)
    await Promise.all([a, b].map((each) => each.close()))
  })

  it('write nothing to a slot that was given away while they stood still', async () => {
    const asleep = open('fenced', 500, { ...withoutBeats, monotonic: () => 0 })
    await asleep.apply('b-1', add('x', 1))
    const awake = open('fenced', 500)
    await until(async () => (await sumOf([awake], 'x')) === 1, 'the slot is adopted')
    await awake.apply('b-2', add('x', 2))
    // By its own clock no time has passed: only the script knows better.
    await asleep.apply('b-3', add('x', 4))
    expect(await sumOf([awake, asleep], 'x')).toBe(7)
    await Promise.all([awake, asleep].map((each) => each.close()))
  })

  it('leave out what is no entry, and start from what else there is', async () => {
    const counters = open('garbage')
    await counters.apply('b-1', add('a', 2))
    await counters.close()
    const base = '{intermix-counters-garbage}:'
    await link.run(async (client) => {
      await client.hset(`${base}slot:0`, '1', 'many', '2', '5 1 2x', '3', '', '4', '7 1', '5', '7 1', 'six', '7 1')
      await client.hset(`${base}names:0`, '1', 'g|b', '2', 'g|c', '3', 'g|d', '4', 'g|e', 'six', 'g|f', '7', 'nothing')
    })
    await link.run((client) => client.hset(`${base}slots`, 'u:0', 'long ago', 'gen-since', '9'.repeat(30)))
    const again = open('garbage')
    expect(await numbersOf(again)).toEqual({ 0: { a: [2], e: [1] } })
    await again.apply('b-2', add('a', 1))
    expect(await numbersOf(again)).toEqual({ 0: { a: [3], e: [1] } })
    await again.close()
  })

  it('take what an older version has counted into slots of its own, once, and only where its worker is gone', async () => {
    const base = '{intermix-counters-old}:'
    const field = (name: string, part: string, ...labels: string[]) => JSON.stringify([name, 'd1', part, ...labels])
    await link.run(async (client) => {
      await client.hset(`${base}register:aaaa`, field('n', 'v', 'x'), '7', field('n', 't', 'x'), '1', 'garbage', '5')
      await client.hset(`${base}register:aaaa`, field('h', 'v'), '2.5', field('h', 'b2'), '3', field('h', 'b0'), '1')
      await client.hset(`${base}register:bbbb`, field('n', 'v', 'x'), '100')
      await client.hset(`${base}owners`, 'aaaa', 'dead', 'bbbb', 'alive')
      await client.zadd(`${base}leases`, 5, 'aaaa', Date.now() + 60_000, 'bbbb')
    })
    const [a, b] = [open('old', 500), open('old', 500)]
    await a.apply('b-1', add('x', 1))
    const all = async (group: string) =>
      (await Promise.all([a, b].map((each) => numbersOf(each, group)))).flatMap((registers) => Object.values(registers))
    await until(async () => (await all('n:d1')).some((fields) => '["x"]' in fields), 'it is taken over')
    expect((await all('n:d1')).filter((fields) => '["x"]' in fields)).toEqual([{ '["x"]': [7] }])
    expect((await all('h:d1')).filter((fields) => '[]' in fields)).toEqual([{ '[]': [2.5, 1, 0, 3] }])
    expect(await link.run((client) => client.hkeys(`${base}owners`))).toEqual(['bbbb'])
    expect(await link.run((client) => client.exists(`${base}register:aaaa`))).toBe(0)
    await Promise.all([a, b].map((each) => each.close()))
  })

  it('keep sums that are infinite or have become no number', async () => {
    const counters = open('infinite')
    await counters.apply('b-1', add('a', Number.POSITIVE_INFINITY, -1.5e-9, 1e300))
    await counters.apply('b-2', add('a', Number.NEGATIVE_INFINITY, 0, 0))
    await counters.close()
    const again = open('infinite')
    expect(await numbersOf(again)).toEqual({ 0: { a: [Number.NaN, -1.5e-9, 1e300] } })
    await again.close()
  })

  it('show no less than before where Redis has lost the latest writes, and count right from there', async () => {
    const counters = open('tail')
    await counters.apply('b-1', add('x', 5))
    const base = '{intermix-counters-tail}:'
    const kept = await link.run((client) => client.hgetall(`${base}slot:0`))
    await counters.apply('b-2', add('x', 3))
    // As after a crash of Redis: the last writes are gone, also that the batch was applied.
    await link.run(async (client) => {
      await client.hset(`${base}slot:0`, kept)
      await client.hincrby(`${base}slots`, 'v:0', -1)
      await client.srem(`${base}batches:1`, 'b-2')
    })
    await counters.apply('b-3', add('y', 1))
    const shown = async () => {
      const entry = (await counters.held()).registers.get('0')?.get('g')?.get('x')
      return [entry?.numbers[0], entry?.floor?.[0]]
    }
    expect(await shown()).toEqual([5, 8])
    await counters.apply('b-2', add('x', 3))
    await counters.apply('b-4', add('x', 1))
    expect((await shown())[0]).toBe(9)
    await counters.close()
  })

  it('count each batch once, whoever tries it how often, though answers are lost and slots change hands', async () => {
    const steps = fc.array(
      fc.record({ by: fc.nat(1), batch: fc.nat(9), event: fc.constantFrom('', '', '', 'answer lost', 'slots moved') }),
      { maxLength: 25 },
    )
    let run = 0
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const handler = `once-each-${++run}`
        let losing = false
        const losingLink: RedisLink = Object.assign(Object.create(link) as RedisLink, {
          run: async <T>(operation: (client: RedisClient) => Promise<T>) => {
            const answer = await link.run(operation)
            // Of what is written: what was read is asked for again anyway.
            if (losing && Array.isArray(answer) && answer[0] === 'done')
              throw new IntermixError('REDIS_UNAVAILABLE', 'the answer was lost')
            return answer
          },
          state: () => link.state(),
          onUp: (callback: () => void) => link.onUp(callback),
          onDown: (callback: () => void) => link.onDown(callback),
        })
        const processes = [0, 1].map(
          () => new RedisCounters({ link: losingLink, clock: realClock, handler, leaseMs: 400 }),
        )
        const tried = new Set<number>()
        for (const { by, batch, event } of all) {
          const counters = processes[by] as RedisCounters
          if (event === 'slots moved') {
            await link.run((client) =>
              client.hset(`{intermix-counters-${handler}}:slots`, 'o:0', 'another one', 'u:0', '0'),
            )
          }
          losing = event === 'answer lost'
          tried.add(batch)
          await counters.apply(`b-${batch}`, add('x', 2 ** batch)).catch(() => undefined)
          losing = false
        }
        for (const batch of tried) await processes[0]?.apply(`b-${batch}`, add('x', 2 ** batch))
        const expected = [...tried].reduce((sum, batch) => sum + 2 ** batch, 0)
        // Slots that were taken from both go to one of them with its next beat.
        await until(async () => (await sumOf(processes, 'x')) === expected, 'all is counted once')
        await Promise.all(processes.map((each) => each.close()))
      }),
      { numRuns: 20 },
    )
  })

  it('begin anew where Redis has lost everything', async () => {
    const counters = open('emptied')
    await counters.apply('b-1', add('x', 5))
    await link.run((client) => client.flushdb())
    await counters.apply('b-2', add('x', 2))
    const entry = (await counters.held()).registers.get('0')?.get('g')?.get('x')
    expect([entry?.numbers, entry?.floor]).toEqual([[2], undefined])
    await counters.close()
  })

  it('answer from memory while Redis is away, and say for how long', async () => {
    let now = 0
    const clock = { ...realClock, monotonic: () => realClock.monotonic() + now }
    let down = false
    const failing = {
      ...link,
      state: () => (down ? 'down' : link.state()),
      run: link.run.bind(link),
      onUp: link.onUp.bind(link),
      onDown: link.onDown.bind(link),
    } as typeof link
    const counters = new RedisCounters({ link: failing, clock, handler: 'away' })
    await counters.apply('b-1', add('x', 1))
    expect((await counters.held()).staleMs).toBe(0)
    down = true
    now = 60_000
    const held = await counters.held()
    expect(held.staleMs).toBeGreaterThanOrEqual(60_000)
    expect(held.registers.get('0')?.get('g')?.get('x')?.numbers).toEqual([1])
    await counters.close()
  })
})
