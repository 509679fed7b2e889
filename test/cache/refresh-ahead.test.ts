import { describe, expect, it } from 'vitest'
import { RefreshAhead } from '../../src/cache/refresh-ahead.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../helpers/clock.ts'
import { allow, Backend } from './support.ts'

function world(bounds: { readonly maxItems: number; readonly maxBytes: number }) {
  const clock = new FakeClock()
  const source = new Backend(clock)
  const entries = new Map<string, VerdictEntry>()
  const [refreshed, dropped] = [[] as string[], [] as string[]]
  const ahead = new RefreshAhead({
    clock,
    perSecond: 1_000,
    ...bounds,
    current: (key) => entries.get(key),
    refresh: (key) => refreshed.push(key),
    onDrop: (handler) => dropped.push(handler.name),
  })
  const schedule = (key: string, value = 'x') => {
    const now = clock.monotonic()
    const entry: VerdictEntry = {
      verdict: allow(),
      createdAt: now,
      freshUntil: now + 10_000,
      staleUntil: now + 10_000,
      epoch: new Revocations().epoch,
      fetchMs: 10,
      isFetched: true,
      usesLeft: 10,
      hits: 1,
      lastHitAt: now,
    }
    entries.set(key, entry)
    const instance = { name: 'i.instance.test', template: 'listentry', fields: { value } }
    ahead.schedule(key, { source, instance, bag: MapBag.of({}), deadline: 0 }, entry)
  }
  return { clock, schedule, refreshed, dropped }
}

describe('refreshing ahead of need', () => {
  it('counts the entries that it has no room for, and watches others when it has again', async () => {
    const { clock, schedule, refreshed, dropped } = world({ maxItems: 3, maxBytes: 1_000_000 })
    for (const key of ['a', 'b', 'c', 'd', 'e']) schedule(key)
    expect(dropped).toEqual(['backend.handler.test', 'backend.handler.test'])
    await clock.advance(20_000)
    expect(refreshed.toSorted()).toEqual(['a', 'b', 'c'])
    schedule('f')
    await clock.advance(20_000)
    expect(refreshed).toContain('f')
    expect(dropped).toHaveLength(2)
  })

  it('is bounded by bytes, which large instances take', async () => {
    const { clock, schedule, dropped } = world({ maxItems: 1_000, maxBytes: 100_000 })
    for (let i = 0; i < 20; i++) schedule(`small ${i}`)
    expect(dropped).toEqual([])
    for (let i = 0; i < 20; i++) schedule(`large ${i}`, 'x'.repeat(20_000))
    expect(dropped.length).toBeGreaterThanOrEqual(18)
    await clock.advance(20_000)
    const before = dropped.length
    schedule('large again', 'x'.repeat(20_000))
    expect(dropped).toHaveLength(before)
  })
})
