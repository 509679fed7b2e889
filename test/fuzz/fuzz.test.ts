// The short fuzz run, with every test run; `node test/fuzz/run.ts` is the long one.

import { describe, expect, it } from 'vitest'
import { fuzz } from './fuzz.ts'
import { Refused, type Target } from './target.ts'
import { TARGETS } from './targets.ts'

describe('fuzz', () => {
  it.each(TARGETS.map((target) => [target.name, target] as const))('%s survives hostile input', async (_, target) => {
    const { failures, figures } = await fuzz([target], 1_000, 42)
    expect(failures).toEqual([])
    expect(figures[0]?.refused).toBeGreaterThan(10)
    expect(figures[0]?.refused).toBeLessThan(1_000)
  })

  it('finds a target that crashes', async () => {
    const target: Target = {
      name: 'crashes',
      generate: (random) => (random() < 0.1 ? 'bad' : 'good'),
      run(input) {
        if (input === 'bad') throw new TypeError('boom')
        throw new Refused()
      },
    }
    const { failures, figures } = await fuzz([target], 100, 1)
    expect(failures.length).toBeGreaterThan(0)
    expect(failures[0]).toMatchObject({ target: 'crashes', input: '"bad"' })
    expect(figures[0]?.refused).toBe(100 - failures.length)
  })

  it('gives the same inputs for the same seed', async () => {
    const inputs = async () => {
      const seen: string[] = []
      const target: Target = {
        name: 'records',
        generate(random) {
          const input = String(random())
          seen.push(input)
          return input
        },
        // Here it would be seen again where the machine was slow.
        run: () => undefined,
      }
      await fuzz([target], 20, 7)
      return seen
    }
    expect(await inputs()).toEqual(await inputs())
  })
})
