import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GroupCommit } from '../../src/kernel/group-commit.ts'

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('a group commit', () => {
  it('commits each item once, in order, one group at a time and within its weight', async () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(weights, fc.array(fc.boolean()), async (items, pauses) => {
        const committed: number[][] = []
        let underWay = 0
        const commits = new GroupCommit<number, number>(
          async (group) => {
            expect(++underWay).toBe(1)
            await settle()
            underWay--
            committed.push([...group])
            return group.map((item) => item * 2)
          },
          { maxWeight: 10, weigh: (item) => item },
        )
        const results: Promise<number>[] = []
        for (const [i, item] of items.entries()) {
          results.push(commits.add(item))
          if (pauses[i] === true) await settle()
        }
        expect(await Promise.all(results)).toEqual(items.map((item) => item * 2))
        expect(committed.flat()).toEqual(items)
        for (const group of committed) {
          expect(group.length === 1 || group.reduce((sum, item) => sum + item) <= 10).toBe(true)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('gathers what comes while a commit is under way', async () => {
    const sizes: number[] = []
    const commits = new GroupCommit<number, void>(
      async (group) => {
        sizes.push(group.length)
        await settle()
        return group.map(() => undefined)
      },
      { maxWeight: 100, weigh: () => 1 },
    )
    const first = commits.add(0)
    await Promise.resolve()
    await Promise.all([first, ...Array.from({ length: 9 }, (_, i) => commits.add(i))])
    expect(sizes).toEqual([1, 9])
  })

  it('rejects the whole of a group that failed, and goes on; what runs alone runs between groups', async () => {
    const order: string[] = []
    const commits = new GroupCommit<string, string>(
      async (group) => {
        order.push(group.join())
        await settle()
        if (group.includes('bad')) throw new Error('no')
        return group
      },
      { maxWeight: 2, weigh: () => 1 },
    )
    const results = ['bad', 'a', 'b'].map((item) => commits.add(item))
    const alone = commits.alone(async () => void order.push('alone'))
    expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'fulfilled',
    ])
    await alone
    expect(order).toContain('alone')
    expect(await commits.add('c')).toBe('c')
  })
})
