import { describe, expect, it } from 'vitest'
import { KeyCardinality } from '../../src/cache/key-cardinality.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const SAMPLE = 20_000

/** Shows a sample of keys, of which each of `distinct` comes about equally often. @returns whether the mesh is allowed. */
function show(cardinality: KeyCardinality, name: string, distinct: number): boolean {
  let allowed = true
  for (let i = 0; i < SAMPLE; i++) {
    const value = `${name} ${i % distinct}`
    allowed = cardinality.allowsMesh({ name, template: 'listentry', fields: { value, kind: 'k' } }, 'h', value)
  }
  return allowed
}

describe('the search for unique keys', () => {
  it('bars an instance whose keys are nearly all unique and names the field, and no other', () => {
    const [log, meter] = [new KeptLog(), new ReadableMeter()]
    const cardinality = new KeyCardinality(log, meter)
    const shares = [0.01, 0.5, 0.85, 0.95, 1]
    const allowed = shares.map((share) => show(cardinality, `of ${share}`, Math.round(SAMPLE * share)))
    expect(allowed).toEqual([true, true, true, false, false])
    expect(log.lines).toHaveLength(2)
    expect(log.lines[0]).toContain('"fields":["value"]')
    expect(meter.value('cache_unique_keys', 'h', 'of 1')).toBe(1)
  })

  it('takes no more than a bounded room, and lets go of instances that are asked for no more', () => {
    const meter = new ReadableMeter()
    const cardinality = new KeyCardinality(new KeptLog(), meter)
    expect(show(cardinality, 'old', SAMPLE)).toBe(false)
    const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, 'x']))
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 1_000; i++) cardinality.allowsMesh({ name: `i${i}`, template: 't', fields }, 'h', 'key')
    globalThis.gc?.()
    expect(meter.value('cache_unique_keys', 'h', 'old')).toBe(0)
    // 1,000 instances with 17 counters of 2 KiB would be 34 MB before anything is collected.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000)
  })
})
