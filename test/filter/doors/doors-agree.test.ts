// The filter beside Envoy's own: whatever the rules and the request, both do the same, and what is kept is what was answered.

import { beforeAll, describe, expect, it } from 'vitest'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { compiledFilter, FilterBench } from '../filter-bench.ts'
import { compareDoors } from './compare-doors.ts'

/** `node test/filter/doors/run.ts` has more. */
const SEEDS = 60

let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

describe('the filter and ext_authz', () => {
  it('do the same with a request, whatever it is and whatever the rules', async () => {
    const seen = { kept: 0, denied: 0, allowed: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) await compareDoors(module, seed, seen)
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(3 * SEEDS)
  })

  it('read one size of a request, however many digits it has', async () => {
    const rules = {
      large: {
        requestHeaderOperations: [{ name: 'x-large', operation: 'REPLACE', values: ['"yes"'] }],
        match: 'request.size > 5',
      },
    }
    const bench = await FilterBench.start({ module, rules })
    const sizes = [
      ['5', 'no'],
      ['6', 'yes'],
      ['0'.repeat(30) + '6', 'yes'],
      ['9'.repeat(16), 'yes'],
      ['9223372036854775807', 'yes'],
      ['9223372036854775808', 'no'],
    ] as const
    for (const [size, isLarge] of sizes) {
      const { headers } = await bench.ask([['content-length', size]])
      expect(headers.some(([name]) => name === 'x-large') ? 'yes' : 'no', size).toBe(isLarge)
    }
  })
})
