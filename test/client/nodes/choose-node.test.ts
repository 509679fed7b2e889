import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChooseNode, type ChooseNodeOptions, type Member } from '../../../src/client/nodes/choose-node.ts'
import { FakeClock } from '../../helpers/clock.ts'

const KEYS = Array.from({ length: 20_000 }, (_, i) => `reviews.prod user-${i}`)

function members(count: number): Member[] {
  return Array.from({ length: count }, (_, i) => ({ id: `node-${i}:9091` }))
}

function choosing(nodes: readonly Member[], options: Partial<ChooseNodeOptions> = {}) {
  const clock = new FakeClock()
  const choose = new ChooseNode({ clock, random: () => 0.5, ...options })
  choose.setMembers(nodes)
  return { choose, clock }
}

const firsts = (choose: ChooseNode, tenant = 't') => KEYS.map((key) => choose.choose(key, tenant, 1)[0] ?? '')

function counts(chosen: readonly string[]): Map<string, number> {
  const found = new Map<string, number>()
  for (const id of chosen) found.set(id, (found.get(id) ?? 0) + 1)
  return found
}

describe('the choice of a node', () => {
  it('is the same for whoever knows the same nodes, in whichever order', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 20 }),
        fc.string(),
        fc.nat(5),
        fc.infiniteStream(fc.nat()),
        (ids, key, count, order) => {
          const one = choosing(ids.map((id) => ({ id })))
          const shuffled = ids
            .map((id) => [order.next().value as number, id] as const)
            .toSorted(([a], [b]) => a - b)
            .map(([, id]) => ({ id }))
          const two = choosing(shuffled)
          const chosen = one.choose.choose(key, 't', count)
          expect(chosen).toEqual(two.choose.choose(key, 't', count))
          expect(chosen.length).toBe(Math.min(count, ids.length))
          expect(new Set(chosen).size).toBe(chosen.length)
        },
      ),
    )
  })

  it('spreads keys evenly, and moves few of them when a node goes or comes', async () => {
    for (const size of [3, 16, 50]) {
      const { choose, clock } = choosing(members(size))
      const before = firsts(choose)
      expect(Math.max(...counts(before).values())).toBeLessThan((KEYS.length / size) * 1.25)
      choose.setMembers(members(size).slice(1))
      const without = firsts(choose)
      for (const [i, id] of before.entries()) if (id !== 'node-0:9091') expect(without[i]).toBe(id)
      choose.setMembers(members(size))
      const early = firsts(choose).filter((id, i) => id !== without[i]).length
      expect(early).toBeLessThan((KEYS.length / size) * 0.3)
      await clock.advance(60_000)
      expect(firsts(choose)).toEqual(before)
      expect(before.filter((id, i) => id !== without[i]).length).toBeLessThan((KEYS.length / size) * 1.5)
    }
  })

  it('goes to the second node of a key when the first has failed, and back when it has rested', async () => {
    const { choose, clock } = choosing(members(5))
    const [first = '', second = ''] = choose.choose('k', 't', 2)
    choose.failed(first)
    expect(choose.choose('k', 't', 2)[0]).toBe(second)
    await clock.advance(100)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    // Longer each time that it has rested, up to a bound; what failed together failed once.
    for (let i = 0; i < 10; i++) choose.failed(first)
    await clock.advance(200)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    for (let i = 0; i < 8; i++) {
      choose.failed(first)
      await clock.advance(i < 7 ? 5_000 : 2_000)
    }
    expect(choose.choose('k', 't', 1)).toEqual([second])
    await clock.advance(3_000)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    for (const { id } of members(5)) choose.failed(id)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    choose.answered(second)
    expect(choose.choose('k', 't', 1)).toEqual([second])
  })

  it('leaves nodes that go, unless there are no others', () => {
    const { choose } = choosing(members(4))
    const leaving = (count: number) => members(4).map((member, i) => ({ ...member, isLeaving: i < count }))
    choose.setMembers(leaving(3))
    expect(new Set(firsts(choose))).toEqual(new Set(['node-3:9091']))
    choose.setMembers(leaving(4))
    expect(new Set(firsts(choose)).size).toBe(4)
    choose.setMembers([])
    expect(choose.size).toBe(4)
  })

  it('passes over nodes with more than their share of the load', () => {
    const { choose } = choosing(members(4))
    const [first = '', second = ''] = choose.choose('k', 't', 2)
    for (const { id } of members(4)) choose.setLoad(id, 1_000)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    choose.setLoad(first, 3_000)
    expect(choose.choose('k', 't', 4)[0]).toBe(second)
    expect(choose.choose('k', 't', 4).at(-1)).toBe(first)
  })

  it('holds a load against those that are known, however few nodes have told', () => {
    const { choose } = choosing(members(16))
    const [first = '', second = '', third = ''] = choose.choose('k', 't', 3)
    choose.setLoad(first, 5_000)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    choose.setLoad(third, 4_000)
    expect(choose.choose('k', 't', 1)).toEqual([first])
    choose.setLoad(third, 1_000)
    expect(choose.choose('k', 't', 1)).toEqual([second])
    choose.setLoad(third, undefined)
    expect(choose.choose('k', 't', 1)).toEqual([first])
  })

  it('takes several nodes for a key that has much of the traffic, where its node has more to do than others', () => {
    let drawn = 0
    const { choose } = choosing(members(16), { random: () => (drawn = (drawn + 0.618) % 1) })
    const hot = () => {
      const chosen: string[] = []
      for (const [i, key] of KEYS.entries()) {
        // A fifth of all requests.
        if (i % 4 === 0) chosen.push(choose.choose('hot', 't', 1)[0] ?? '')
        choose.choose(key, 't', 1)
      }
      return counts(chosen.slice(1_000))
    }
    for (const { id } of members(16)) choose.setLoad(id, 1_000)
    // This caller sees little else; to the node it is nothing.
    const [[first = '', often] = [], ...others] = hot()
    expect([often, others]).toEqual([4_000, []])
    choose.setLoad(first, 1_300)
    const shared = hot()
    expect(shared.size).toBeGreaterThan(8)
    expect(Math.max(...shared.values())).toBeLessThan(1_000)
    // Of two that may serve it, the one with less to do.
    expect(shared.get(first) ?? 0).toBeLessThan(100)
  })

  it('gives each tenant its own part of the nodes', () => {
    const { choose } = choosing(members(16), { nodesPerTenant: 4 })
    const parts = Array.from(
      { length: 200 },
      (_, i) => new Set(KEYS.slice(0, 100).map((key) => choose.choose(key, `tenant ${i}`, 1)[0])),
    )
    for (const part of parts) expect(part.size).toBe(4)
    // 1,820 parts of four nodes there are.
    expect(
      new Set(parts.map((part) => JSON.stringify(members(16).filter(({ id }) => part.has(id))))).size,
    ).toBeGreaterThan(150)
  })
})
