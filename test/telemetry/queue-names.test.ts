import { describe, expect, it } from 'vitest'
import { keySlot, SLOTS } from '../../src/redis/key-slot.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'

const names = queueNames('intermix.east')
const RULES = 'a'.repeat(64)

/** How many of the first shards of a queue each of so many masters with even parts has. */
function perMaster(queueOf: (shard: number) => string, shards: number, masters: number): number[] {
  const counts = Array.from({ length: masters }, () => 0)
  for (let shard = 0; shard < shards; shard++) {
    const master = Math.floor((keySlot(names.keyPrefix(queueOf(shard))) * masters) / SLOTS)
    counts[master] = (counts[master] ?? 0) + 1
  }
  return counts
}

describe('names of queues', () => {
  it('are without shards what they were before there were any', () => {
    expect(names.reports()).toBe('intermix.east-reports')
    expect(names.reports(RULES)).toBe(`intermix.east-reports-${'a'.repeat(16)}`)
    expect(names.keyPrefix(names.reports(RULES))).toBe('{intermix.east-reports}')
    expect(names.deliver('h', 0)).toBe(names.deliver('h'))
    expect(names.keyPrefix(names.deliver('h'))).toBe(`{${names.deliver('h')}}`)
  })

  it('give a shard of all report rules one server, and each shard a tag of its own', () => {
    expect(names.keyPrefix(names.reports(RULES, 2))).toBe(names.keyPrefix(names.reports(undefined, 2)))
    const tags = Array.from({ length: 64 }, (_, shard) => names.keyPrefix(names.reports(RULES, shard)))
    expect(new Set(tags).size).toBe(64)
  })

  it.each([
    [3, 3],
    [6, 3],
    [6, 6],
    [12, 3],
    [12, 6],
    [12, 12],
  ])('spread %i shards evenly over %i masters', (shards, masters) => {
    let even = 0
    for (let handler = 0; handler < 200; handler++) {
      const counts = perMaster((shard) => names.deliver(`h${handler}`, shard), shards, masters)
      if (counts.every((count) => count === shards / masters)) even++
    }
    // A queue whose first slot lies at the edge of a master's part may miss it by one.
    expect(even).toBeGreaterThan(masters === 12 ? 150 : 180)
  })
})
