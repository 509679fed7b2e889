// The pool with Mixer's constants against what the unmodified client of Istio 1.4 did.

import { describe, expect, it } from 'vitest'
import { DemandWindow } from '../../../src/client/quotas/demand-window.ts'
import { sharedData } from '../../helpers/shared-data.ts'
import { checksOf, play, type TraceStep } from './mixer-client.ts'
import { passed, type Rate, RollingWindow, TimeBased } from './mixer-servers.ts'

interface Vectors {
  readonly quota_prefetch: {
    readonly traces: readonly { readonly name: string; readonly steps: readonly TraceStep[] }[]
    readonly simulation: {
      readonly per_minute: Rate
      readonly per_second: Rate
      readonly results: Readonly<Record<string, readonly { readonly passed_exact_cpp: number }[]>>
    }
  }
  readonly time_based_counter: readonly {
    readonly slots: number
    readonly window_ms: number
    readonly t0: number
    readonly inc: readonly (readonly [number, number])[]
    readonly count_at: number
    readonly expect: number
  }[]
}

const vectors = sharedData('mixer-client-vectors.json') as Vectors | undefined

describe.skipIf(vectors === undefined)('the pool as Mixer has it', () => {
  const {
    quota_prefetch: { traces, simulation },
    time_based_counter: counters,
  } = vectors as Vectors

  it.each(traces)('$name', ({ steps }) => {
    expect(play(steps)).toEqual(checksOf(steps))
  })

  it.each(Object.entries(simulation.results))('passes as many checks in %s', (name, results) => {
    const rate = name.includes('Small') ? simulation.per_second : simulation.per_minute
    const server = name.includes('TimeBased') ? new TimeBased(rate) : new RollingWindow(rate)
    expect(passed(server, rate, name.includes('TwoClient') ? 2 : 1)).toEqual(
      results.map(({ passed_exact_cpp: exact }) => exact),
    )
  })

  it.each(counters)(
    'counts demand in a window',
    ({ slots, window_ms: windowMs, t0, inc, count_at: at, expect: count }) => {
      const demand = new DemandWindow(windowMs, t0, slots)
      for (const [amount, now] of inc) demand.add(amount, now)
      expect(demand.count(at)).toBe(count)
    },
  )
})
