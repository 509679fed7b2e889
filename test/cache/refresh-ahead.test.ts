import { describe, expect, it } from 'vitest'
import { RefreshAhead } from '../../src/cache/refresh-ahead.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import type { VerdictRequest } from '../../src/cache/verdict-request.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../helpers/clock.ts'
import { allow, Backend, handlerConfig } from './support.ts'

interface World {
  readonly maxItems?: number
  readonly maxBytes?: number
  readonly perSecond?: number
}

/** Entries that live for ten seconds, and as long again while their backend fails. */
function world({ maxItems = 1_000, maxBytes = 1_000_000, perSecond = 1_000 }: World = {}) {
  const clock = new FakeClock()
  const source = new Backend(clock)
  const entries = new Map<string, VerdictEntry>()
  const [refreshed, dropped] = [[] as string[], [] as string[]]
  const requests: VerdictRequest[] = []
  const ahead = new RefreshAhead({
    clock,
    perSecond,
    maxItems,
    maxBytes: () => maxBytes,
    current: (key) => entries.get(key),
    refresh(key, request) {
      refreshed.push(key)
      requests.push(request)
    },
    onDrop: (handler) => dropped.push(handler.name),
  })
  const schedule = (key: string, { value = 'x', fetchMs = 10, hits = 1, from = source } = {}) => {
    const now = clock.monotonic()
    const entry: VerdictEntry = {
      verdict: allow(),
      createdAt: now,
      freshUntil: now + 10_000,
      staleUntil: now + 20_000,
      epoch: new Revocations().epoch,
      fetchMs,
      isFetched: true,
      usesLeft: 10,
      hits,
      lastHitAt: now,
      answers: 0,
    }
    entries.set(key, entry)
    const instance = { name: 'i.instance.test', template: 'listentry', fields: { value } }
    const bag = MapBag.of({ secret: 'of the first caller' })
    ahead.schedule(key, { source: from, instance, bag, deadline: 0 }, entry)
    return entry
  }
  return { ahead, clock, schedule, entries, refreshed, requests, dropped }
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
    for (let i = 0; i < 20; i++) schedule(`large ${i}`, { value: 'x'.repeat(20_000) })
    expect(dropped.length).toBeGreaterThanOrEqual(18)
    await clock.advance(20_000)
    const before = dropped.length
    schedule('large again', { value: 'x'.repeat(20_000) })
    expect(dropped).toHaveLength(before)
  })

  it('comes before the end by ten times what the fetch took, and by a fifth of the life at most', async () => {
    for (const [fetchMs, refreshedAt] of [
      [1, 9_950],
      [100, 9_000],
      [5_000, 8_000],
    ] as const) {
      const { clock, schedule, refreshed } = world()
      schedule('a', { fetchMs })
      await clock.advance(refreshedAt - 100)
      expect(refreshed).toEqual([])
      await clock.advance(200)
      expect(refreshed).toEqual(['a'])
    }
  })

  it('leaves alone what nobody asked for, and what was replaced or dropped meanwhile', async () => {
    const { clock, schedule, entries, refreshed } = world()
    schedule('idle', { hits: 0 })
    schedule('dropped')
    entries.delete('dropped')
    schedule('replaced')
    await clock.advance(5_000)
    schedule('replaced')
    await clock.advance(5_000)
    expect(refreshed).toEqual([])
    await clock.advance(10_000)
    expect(refreshed).toEqual(['replaced'])
  })

  it('keeps stale entries that are still asked for young enough for an outage', async () => {
    const { clock, schedule, refreshed } = world()
    const [warm] = [schedule('warm', { hits: 0 }), schedule('cold', { hits: 0 })]
    await clock.advance(13_000)
    warm.lastHitAt = clock.monotonic()
    expect(refreshed).toEqual([])
    // Half of the stale bound is left at 15 s; it was asked for within a quarter of it.
    await clock.advance(2_100)
    expect(refreshed).toEqual(['warm'])
    await clock.advance(20_000)
    expect(refreshed).toEqual(['warm'])
  })

  it('has a budget for each handler, and skips what is beyond it', async () => {
    const { clock, schedule, refreshed } = world({ perSecond: 5 })
    const other = new Backend(clock, handlerConfig({ name: 'other.handler.test' }))
    for (let i = 0; i < 20; i++) schedule(`a${i}`)
    for (let i = 0; i < 3; i++) schedule(`b${i}`, { from: other })
    await clock.advance(10_100)
    expect(refreshed.filter((key) => key.startsWith('a'))).toHaveLength(5)
    expect(refreshed.filter((key) => key.startsWith('b'))).toHaveLength(3)
    schedule('a again')
    await clock.advance(10_100)
    expect(refreshed.at(-1)).toBe('a again')
  })

  it("asks in nobody's name: neither the attributes nor the deadline of whoever asked first are kept", async () => {
    const { clock, schedule, requests } = world()
    schedule('a')
    await clock.advance(10_000)
    const [request] = requests
    expect([...(request?.bag.names() ?? ['none'])]).toEqual([])
    expect(request?.deadline).toBe(Number.POSITIVE_INFINITY)
  })

  it('visits every slot after a long pause of the process, in order', async () => {
    const { clock, schedule, refreshed } = world()
    const [b, a] = [schedule('b', { fetchMs: 1 }), schedule('a', { fetchMs: 200 })]
    clock.stall(11_000)
    for (const entry of [b, a]) entry.lastHitAt = clock.monotonic()
    await clock.advance(0)
    expect(refreshed).toEqual(['a', 'b'])
  })

  it('watches nothing where it may refresh nothing, and nothing more once it is stopped', async () => {
    const never = world({ perSecond: 0 })
    never.schedule('a')
    expect(never.clock.pending).toBe(0)
    const { ahead, clock, schedule, refreshed } = world()
    schedule('a')
    ahead.stop()
    expect(clock.pending).toBe(0)
    await clock.advance(20_000)
    expect(refreshed).toEqual([])
  })
})
