import { describe, expect, it } from 'vitest'
import type { DurableCounters, HeldRegisters } from '../../../src/adapter-kit/durable-counters.ts'
import { piecesOf } from '../../../src/adapter-kit/exposed-part.ts'
import { MemoryCounters } from '../../../src/adapter-kit/memory-counters.ts'
import { Exposition } from '../../../src/adapters/prometheus/exposition.ts'
import { ExpositionText } from '../../../src/adapters/prometheus/exposition-text.ts'
import { MetricTable } from '../../../src/adapters/prometheus/metric-table.ts'
import { prometheusConfig } from '../../../src/adapters/prometheus/config.ts'
import { ChangeSet } from '../../../src/adapters/prometheus/series.ts'
import { FakeClock } from '../../helpers/clock.ts'

const CONFIG = prometheusConfig.parse({
  metrics: [
    { name: 'requests_total', instanceName: 'requests', kind: 'COUNTER', labelNames: ['n'] },
    { name: 'seconds', instanceName: 'seconds', kind: 'DISTRIBUTION', labelNames: ['n'] },
  ],
})

/** A clock on which each look at the time takes a millisecond, and turns come when they are told to. */
class BusyClock extends FakeClock {
  #looks = 0
  readonly turns: (() => void)[] = []

  override monotonic(): number {
    return this.#looks++
  }

  override turn(callback: () => void): () => void {
    this.turns.push(callback)
    return () => undefined
  }
}

function create(clock = new FakeClock(), expiryMs = Number.POSITIVE_INFINITY) {
  const table = new MetricTable(CONFIG)
  const counters = new MemoryCounters(clock)
  let staleMs = 0
  let asked = 0
  const watched: DurableCounters = {
    apply: (...given) => counters.apply(...given),
    forget: (...given) => counters.forget(...given),
    async held(): Promise<HeldRegisters> {
      asked++
      return { ...(await counters.held()), staleMs }
    },
  }
  const text = new ExpositionText(false)
  let rendered = 0
  const lines = text.lines.bind(text)
  text.lines = (...given) => {
    rendered++
    return lines(...given)
  }
  const exposition = new Exposition({
    metrics: table.all,
    text,
    counters: watched,
    clock,
    expiryMs,
    onRendered: () => undefined,
  })
  let batches = 0
  const count = async (labels: readonly string[], value = 1) => {
    const changes = new ChangeSet()
    for (const metric of table.all) for (const label of labels) changes.observe(metric, [label], value)
    await counters.apply(`b-${batches++}`, changes.changes)
  }
  return {
    count,
    counters,
    read: async () => piecesOf(await exposition.render()).join(''),
    rendered: () => rendered,
    asked: () => asked,
    beStale: (ms: number) => {
      staleMs = ms
    },
  }
}

const labels = (count: number) => Array.from({ length: count }, (_, i) => `label-${i}`)

describe('an exposition', () => {
  it('is rendered once for scrapes at the same time, and anew only when something has changed', async () => {
    const { count, read, rendered } = create()
    await count(labels(10))
    const [first, second] = await Promise.all([read(), read()])
    expect(rendered()).toBe(20)
    expect(first).toBe(second)
    expect(await read()).toBe(first)
    expect(rendered()).toBe(20)
    await count(['label-3'])
    expect(await read()).toContain('istio_requests_total{n="label-3",worker="0"} 2\n')
    expect(rendered()).toBe(40)
  })

  it('leaves the process to its other work every other millisecond, and counts meanwhile', async () => {
    const clock = new BusyClock()
    const { count, read } = create(clock)
    await count(labels(2000))
    const state = { ended: false }
    const reading = read().finally(() => {
      state.ended = true
    })
    let slices = 0
    while (!state.ended) {
      await new Promise((resolve) => setImmediate(resolve))
      await count(['label-0', 'added-meanwhile'])
      if (clock.turns.length > 0) slices++
      for (const turn of clock.turns.splice(0)) turn()
    }
    // About 1.7 MB in pieces of 16 KiB, and two looks at the time a slice.
    expect(slices).toBeGreaterThan(30)
    const text = await reading
    for (const label of labels(2000)) expect(text).toContain(`istio_seconds_count{n="${label}",worker="0"} `)
  })

  it('does not show a series for longer than its expiry, though nothing else has changed', async () => {
    const clock = new FakeClock()
    const { count, read } = create(clock, 60_000)
    await count(['a'])
    expect(await read()).toContain('n="a"')
    await clock.advance(60_001)
    expect(await read()).toBe('')
  })

  it('says since when it has not been certain', async () => {
    const { count, read, beStale } = create()
    await count(['a'])
    const fresh = await read()
    beStale(90_000)
    const stale = await read()
    expect(stale.startsWith(fresh)).toBe(true)
    expect(stale.slice(fresh.length)).toMatch(/^# Redis has not answered for 90 s: .*2026-01-15T11:58:30.000Z.*\n$/)
    beStale(0)
    expect(await read()).toBe(fresh)
  })
})
