import { describe, expect, it } from 'vitest'
import { HeardRevocations } from '../../../src/client/nodes/heard-revocations.ts'
import { RetoldRevocations } from '../../../src/client/nodes/retold-revocations.ts'
import type { RevocationTarget } from '../../../src/kernel/revocation.ts'
import type { News } from '../../../src/wire/batch/news.ts'
import { FakeClock } from '../../helpers/clock.ts'

const ALL: RevocationTarget = { kind: 'all' }
const NEWS: News = { ask: 0, epoch: undefined, revocations: [], outOfTouchMs: 0, maxAgeMs: 30_000, load: 0 }

/** One that hears nodes, and is followed itself. */
function relay() {
  const clock = new FakeClock()
  const retold = new RetoldRevocations(clock, 'own')
  const heard = new HeardRevocations(clock, retold)
  const node = heard.teller()
  const tell = (generation: string, sequence: number, revoked: readonly number[] = []) => {
    const revocations = revoked.map((each) => ({ sequence: each, target: ALL }))
    node.take({ ...NEWS, epoch: { generation, sequence }, revocations }, clock.monotonic())
  }
  return { clock, retold, node, tell, own: () => retold.revocations.epoch }
}

describe('who is followed itself', () => {
  it('confirms a revocation to nodes when its own callers have, and says who has not', () => {
    const { retold, node, tell, own } = relay()
    tell('g/1@0', 5)
    const caller = retold.callers.join('filter-1')
    caller.confirm(own())
    tell('g/1@0', 7, [6, 7])
    const behind = { count: 1, names: ['filter-1'] }
    expect(node.heard()).toEqual({ epoch: { generation: 'g/1@0', sequence: 5 }, behind })
    caller.confirm({ ...own(), sequence: own().sequence - 1 })
    expect(node.heard()).toEqual({ epoch: { generation: 'g/1@0', sequence: 6 }, behind })
    caller.confirm(own())
    expect(node.heard()).toEqual({ epoch: { generation: 'g/1@0', sequence: 7 } })
  })

  it('waits for no caller that has gone', () => {
    const { retold, node, tell, own } = relay()
    tell('g/1@0', 5)
    const caller = retold.callers.join('filter-1')
    caller.confirm(own())
    tell('g/1@0', 6, [6])
    expect(node.heard().epoch?.sequence).toBe(5)
    caller.leave()
    expect(node.heard()).toEqual({ epoch: { generation: 'g/1@0', sequence: 6 } })
  })

  it('tells an answer on before the revocations that its node had not taken into account', () => {
    const { retold, tell, own } = relay()
    tell('g/1@0', 5)
    tell('g/1@0', 8, [6, 7, 8])
    const stamp = (sequence: number, generation = 'g/1@0') => retold.stamp({ generation, sequence })?.sequence
    const { sequence: last } = own()
    // Below 5 everything is void; 9 is of a node that is ahead.
    expect([4, 5, 6, 7, 8, 9].map((each) => stamp(each))).toEqual([undefined, last - 3, last - 2, last - 1, last, last])
    expect(stamp(8, 'g/2@0')).toBeUndefined()
  })

  it('voids what was answered under a generation that is left, and tells nothing on of it', () => {
    const { retold, tell, own } = relay()
    tell('g/1@0', 5)
    const told = retold.stamp({ generation: 'g/1@0', sequence: 5 })
    expect(
      retold.revocations.allows(told ?? { generation: '', sequence: 0 }, [], { get: () => undefined, names: () => [] }),
    ).toBe(true)
    tell('g/2@0', 1)
    expect(own().sequence).toBe((told?.sequence ?? 0) + 1)
    expect(retold.revocations.since(told?.sequence ?? 0)).toEqual([{ sequence: own().sequence, target: ALL }])
    expect(retold.stamp({ generation: 'g/1@0', sequence: 5 })).toBeUndefined()
    expect(retold.stamp({ generation: 'g/2@0', sequence: 1 })).toEqual(own())
  })

  it('confirms nothing of a generation before its callers have left the one before', () => {
    const { retold, node, tell, own } = relay()
    tell('g/1@0', 5)
    const caller = retold.callers.join('filter-1')
    caller.confirm(own())
    expect(node.heard().epoch?.sequence).toBe(5)
    // What was told under the other one may be what the third revocation is about.
    tell('g/2@0', 3)
    expect(node.heard()).toEqual({ epoch: undefined, behind: { count: 1, names: ['filter-1'] } })
    caller.confirm(own())
    expect(node.heard()).toEqual({ epoch: { generation: 'g/2@0', sequence: 3 } })
  })

  it('confirms nothing before a caller has begun that may have answers of somebody else', () => {
    const { retold, node, tell, own } = relay()
    const caller = retold.callers.join('filter-1')
    caller.confirm({ generation: 'that of the one before', sequence: 9 })
    tell('g/1@0', 5)
    expect(node.heard()).toEqual({ epoch: undefined, behind: { count: 1, names: ['filter-1'] } })
    caller.confirm(own())
    expect(node.heard()).toEqual({ epoch: { generation: 'g/1@0', sequence: 5 } })
  })

  it('forgets old ones, and confirms none that a caller lacks', () => {
    const { retold, node, tell, own } = relay()
    tell('g/1@0', 0)
    const caller = retold.callers.join('filter-1')
    caller.confirm(own())
    for (let sequence = 1; sequence <= 5_000; sequence++) tell('g/1@0', sequence, [sequence])
    expect(node.heard().epoch?.sequence).toBe(0)
    expect(retold.stamp({ generation: 'g/1@0', sequence: 1_000 })).toBeUndefined()
    expect(retold.stamp({ generation: 'g/1@0', sequence: 4_999 })?.sequence).toBe(own().sequence - 1)
    caller.confirm({ ...own(), sequence: own().sequence - 1 })
    expect(node.heard().epoch?.sequence).toBe(4_999)
    caller.confirm(own())
    expect(node.heard().epoch?.sequence).toBe(5_000)
  })
})
