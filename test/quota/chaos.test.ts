// Nodes of one Redis that is killed and paused while they charge: each grant is counted, and once. The long form is
// `load/quota-chaos.ts`.

import { expect, it } from 'vitest'
import { quotaChaos, violations } from '../../load/quota-chaos/run.ts'
import { toolOrSkip } from '../helpers/tools.ts'

it.skipIf(toolOrSkip('redis-server') === undefined)(
  'counts what was granted, once, whatever becomes of Redis',
  async () => {
    const ends: (() => Promise<unknown>)[] = []
    try {
      const kinds = ['kill', 'pause'] as const
      const outcome = await quotaChaos({ nodes: 3, durationMs: 5_000, perSecond: 100, seed: 3, kinds }, (end) =>
        ends.push(end),
      )
      expect(violations(outcome)).toEqual([])
      expect(outcome.faults).toBeGreaterThan(0)
    } finally {
      for (const end of ends.toReversed()) await end()
    }
  },
)
