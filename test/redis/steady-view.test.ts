import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SteadyView } from '../../src/redis/steady-view.ts'

const names = (count: number) => Array.from({ length: count }, (_, i) => `n${String(i).padStart(2, '0')}`)

describe('a view of who is there', () => {
  it('lets all come, and a few go at once', () => {
    const view = new SteadyView()
    expect(view.take(names(20), 0)).toEqual(names(20))
    expect(view.take(names(18), 12_000)).toEqual(names(18))
  })

  it('does not collapse where nobody can be heard, and follows in the end', () => {
    const view = new SteadyView()
    view.take(names(20), 0)
    expect(view.take([], 12_000)).toHaveLength(14)
    expect(view.take([], 21_999)).toHaveLength(14)
    expect(view.take(names(20), 21_999)).toEqual(names(20))
    let now = 22_000
    for (let left = 20; left > 0; now += 10_000) {
      const next = view.take([], now).length
      expect(next).toBeLessThan(left)
      left = next
    }
  })

  it('never loses more than 30 % in 10 s, whatever it sees', () => {
    const seen = fc.array(fc.tuple(fc.subarray(names(12)), fc.nat({ max: 6_000 })), { maxLength: 30 })
    fc.assert(
      fc.property(seen, (all) => {
        const view = new SteadyView()
        let now = 0
        let before: readonly string[] = []
        const gone: { readonly at: number; readonly count: number; readonly of: number }[] = []
        for (const [present, passed] of all) {
          now += passed
          const members = new Set(view.take(present, now))
          for (const name of present) expect(members.has(name)).toBe(true)
          gone.push({ at: now, count: before.filter((name) => !members.has(name)).length, of: before.length })
          before = Array.from(members)
          // Windows follow each other, so that two of them meet in any 10 s.
          const lately = gone.filter(({ at }) => at > now - 10_000)
          const most = Math.max(...lately.map(({ of }) => of), 12)
          expect(lately.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(2 * Math.max(1, most * 0.3))
        }
      }),
    )
  })
})
