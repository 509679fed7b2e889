import { beforeEach, describe, expect, it } from 'vitest'
import { CALLER_PATIENCE_MS, RevocationCallers } from '../../src/cache/revocation-callers.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { FakeClock } from '../helpers/clock.ts'

const ALL = { kind: 'all' } as const

describe('callers that follow revocations', () => {
  let clock: FakeClock
  let revocations: Revocations
  let callers: RevocationCallers
  let settled: number

  const at = (sequence: number) => ({ generation: 'g', sequence })

  beforeEach(() => {
    clock = new FakeClock()
    revocations = new Revocations()
    revocations.restart('g', 3)
    callers = new RevocationCallers({ clock, revocations })
    settled = 0
    callers.onSettled(() => settled++)
  })

  function joined(name: string) {
    const caller = callers.join(name)
    caller.confirm(revocations.epoch)
    return caller
  }

  it('hold back what the node says that it has applied until they have, too', async () => {
    const [one, two] = [joined('one'), joined('two')]
    expect(callers.confirmed()).toBe(3)
    revocations.apply({ sequence: 4, target: ALL })
    revocations.apply({ sequence: 5, target: ALL })
    one.confirm(at(5))
    two.confirm(at(4))
    expect(callers.confirmed()).toBe(4)
    settled = 0
    const waited = callers.settled()
    two.confirm(at(5))
    await waited
    expect([settled, callers.confirmed(), callers.late()]).toEqual([1, 5, undefined])
  })

  it('are not waited for any longer when they are late, and named until they are there', async () => {
    const [one, two] = [joined('one'), joined('two')]
    revocations.apply({ sequence: 4, target: ALL })
    one.confirm(at(4))
    const waited = callers.settled()
    await clock.advance(CALLER_PATIENCE_MS - 1)
    expect(callers.confirmed()).toBe(3)
    await clock.advance(1)
    await waited
    expect(callers.confirmed()).toBe(4)
    expect(callers.late()).toEqual({ lacks: 4, count: 1, names: ['two'] })
    // Of the next one it is known already.
    revocations.apply({ sequence: 5, target: ALL })
    one.confirm(at(5))
    expect([callers.confirmed(), callers.late()?.lacks]).toEqual([5, 4])
    two.confirm(at(5))
    expect(callers.late()).toBeUndefined()
  })

  it('are given time that this process has not listened', async () => {
    joined('one')
    revocations.apply({ sequence: 4, target: ALL })
    clock.stall(CALLER_PATIENCE_MS)
    await clock.advance(0)
    expect([callers.confirmed(), callers.late()]).toEqual([3, undefined])
    await clock.advance(CALLER_PATIENCE_MS)
    expect(callers.late()?.names).toEqual(['one'])
  })

  it('count for nothing when their stream has ended', async () => {
    const one = joined('one')
    revocations.apply({ sequence: 4, target: ALL })
    const waited = callers.settled()
    one.leave()
    await waited
    expect([callers.confirmed(), callers.hasBeen]).toEqual([4, true])
    // Whatever it still says.
    one.confirm(at(2))
    expect([callers.confirmed(), callers.behind()]).toEqual([4, undefined])
  })

  it('that know another generation have applied nothing', async () => {
    const one = joined('one')
    revocations.restart('h', 0)
    expect(callers.confirmed()).toBe(-1)
    one.confirm({ generation: 'h', sequence: 0 })
    expect(callers.confirmed()).toBe(0)
    callers.join('new')
    expect(callers.confirmed()).toBe(-1)
    await clock.advance(CALLER_PATIENCE_MS)
    expect(callers.late()).toEqual({ lacks: 0, count: 1, names: ['new'] })
  })

  it('that have callers of their own are named with those that they wait for', async () => {
    const [one, two] = [joined('one'), joined('two')]
    revocations.apply({ sequence: 4, target: ALL })
    one.confirm(at(3), { count: 30, names: ['filter-1', 'filter-2'] })
    await clock.advance(CALLER_PATIENCE_MS)
    expect(callers.late()?.names).toEqual(['filter-1 behind one', 'filter-2 behind one', 'two'])
    expect([callers.late()?.count, callers.behind()?.count, callers.known()]).toEqual([31, 31, 3])
    one.confirm(at(4))
    two.confirm(at(4))
    expect([callers.late(), callers.behind(), callers.known()]).toEqual([undefined, undefined, 4])
  })

  it('are named by the beginning of long names', () => {
    const long = 'x'.repeat(1_000)
    joined(long).confirm({ generation: 'f', sequence: 3 })
    joined('two').confirm(at(2), { count: 1, names: [long] })
    const cut = `${'x'.repeat(150)}…`
    expect(callers.behind()?.names).toEqual([cut, `${cut} behind two`])
  })

  it('are named up to a bound, and counted beyond it', async () => {
    for (let i = 0; i < 50; i++) joined(`s${i}`)
    revocations.apply({ sequence: 4, target: ALL })
    await clock.advance(CALLER_PATIENCE_MS)
    expect(callers.late()?.count).toBe(50)
    expect(callers.late()?.names.length).toBeLessThan(50)
  })
})
