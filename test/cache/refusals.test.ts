import { describe, expect, it } from 'vitest'
import { AnswerCache, type StoredAnswer } from '../../src/cache/answer-cache.ts'
import { createRefusals } from '../../src/cache/cache-metrics.ts'
import { LocalTier } from '../../src/cache/local-tier.ts'
import { MAX_STEPS, ReadCollector } from '../../src/cache/read-collector.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { ReadableMeter } from '../redis/support.ts'
import { testPredicate } from '../../src/expression/test-predicate.ts'
import { deny } from './support.ts'

const NOW = 1_000_000

function answers(meter: ReadableMeter, maxBytes = 100_000_000, onEvict = () => {}) {
  return new AnswerCache({
    maxEntries: 100_000,
    maxBytes,
    revocations: new Revocations(),
    maxAgeMs: () => Number.POSITIVE_INFINITY,
    onEvict,
    refused: createRefusals(meter, 'answer'),
  })
}

function stored(message = 'no'): StoredAnswer {
  const answer = {
    status: { code: 7, message },
    validForMs: 60_000,
    validUses: 10,
    tier: 'backend' as const,
    ageMs: 0,
    requestHeaders: [],
    responseHeaders: [],
  }
  const epoch = new Revocations().epoch
  return {
    answer,
    reads: [],
    createdAt: NOW,
    freshUntil: NOW + 60_000,
    epoch,
    parts: [],
    isUseBound: false,
    usesLeft: 10,
  }
}

/** What rules read that ask, one after the other, whether attribute `a` is each of so many values. */
function readsOf(count: number, value: string, scope = ''): ReadCollector {
  const reads = new ReadCollector()
  for (let i = 0; i < count; i++) {
    const predicate = testPredicate({ attribute: 'a', mapKey: undefined }, { op: 'equals', value: `${i}` })
    reads.predicate({ ...predicate, id: `${scope}is ${i}` }, value === `${i}`)
  }
  return reads
}

describe('the answer cache', () => {
  it('keeps an answer behind as many reads as it has room for, and counts one behind more', () => {
    const meter = new ReadableMeter()
    const cache = answers(meter)
    const scope = cache.scope('rules')
    const find = (a: string) => cache.find(scope, MapBag.of({ a }), [], NOW)
    cache.store(scope, readsOf(MAX_STEPS, '0').steps, stored())
    expect(find('0')).toBeDefined()
    cache.store(scope, readsOf(MAX_STEPS + 1, '1').steps, stored())
    cache.store(scope, readsOf(3 * MAX_STEPS, '2').steps, stored())
    expect([find('1'), find('2')]).toEqual([undefined, undefined])
    expect(meter.value('cache_refused_total', 'answer', 'too_many_reads')).toBe(2)
  })

  it('counts answers that are too large for it', () => {
    const meter = new ReadableMeter()
    const cache = answers(meter)
    const scope = cache.scope('rules')
    cache.store(scope, readsOf(1, '0').steps, stored('x'.repeat(1_000_000)))
    expect(cache.size).toBe(0)
    expect(meter.value('cache_refused_total', 'answer', 'too_large')).toBe(1)
  })

  it('makes room for scopes, whose shapes count, and learns them again', () => {
    const cache = answers(new ReadableMeter(), 1_000_000)
    const scopes = Array.from({ length: 40 }, (_, i) => cache.scope(`rules ${i}`))
    for (const [i, scope] of scopes.entries()) {
      cache.store(scope, readsOf(MAX_STEPS, '0', `${i} `).steps, stored())
      expect(cache.bytes).toBeLessThanOrEqual(1_000_000)
    }
    const [first, last] = [scopes[0], scopes.at(-1)]
    if (first === undefined || last === undefined) throw new Error('no scopes')
    expect([first.shapes.size, last.shapes.size, cache.size]).toEqual([0, 1, cache.shapes])
    expect(cache.find(last, MapBag.of({ a: '0' }), [], NOW)).toBeDefined()
    cache.store(first, readsOf(MAX_STEPS, '0', '0 ').steps, stored())
    expect(cache.find(first, MapBag.of({ a: '0' }), [], NOW)).toBeDefined()
    cache.clear()
    expect([cache.size, cache.shapes, cache.bytes]).toEqual([0, 0, 0])
  })

  it('keeps thousands of shapes of one scope, those in use above all, and counts what makes room', () => {
    const evicted = { count: 0 }
    const cache = answers(new ReadableMeter(), 3_000_000, () => evicted.count++)
    const scope = cache.scope('rules')
    const used = () => cache.find(scope, MapBag.of({ a: '0' }), [], NOW)
    let stores = 0
    while (evicted.count < 100) {
      cache.store(scope, readsOf(100, `${stores % 100}`, `${Math.floor(stores / 100)} `).steps, {
        ...stored(),
        usesLeft: 1_000_000,
      })
      stores++
      expect(used()).toBeDefined()
    }
    expect(cache.shapes).toBeGreaterThan(1_000)
    expect(cache.size + evicted.count).toBe(stores)
    expect(cache.bytes).toBeLessThanOrEqual(3_000_000)
  })
})

describe('references behind more reads than are kept', () => {
  it('name every attribute still', () => {
    const reads = readsOf(2 * MAX_STEPS, '0')
    reads.mapKey('m', 'k', undefined)
    reads.wholeMap('a', undefined)
    reads.attribute('z', 'v')
    expect(reads.referenced().map(({ name, key, condition, whole }) => [name, key, condition, whole])).toEqual([
      ['a', undefined, 'EXACT', false],
      ['a', undefined, 'ABSENCE', true],
      ['m', 'k', 'ABSENCE', false],
      ['z', undefined, 'EXACT', false],
    ])
  })
})

describe('the local tier', () => {
  it('counts a verdict that is too large, and does not keep the one that it was to replace', () => {
    const meter = new ReadableMeter()
    const tier = new LocalTier({
      maxEntries: 10,
      maxBytes: 1_000_000,
      onEvict() {},
      refused: createRefusals(meter, 'verdict').size,
    })
    const entry = (message: string): VerdictEntry => {
      const { epoch, createdAt, freshUntil } = stored()
      const rest = { createdAt, freshUntil, staleUntil: freshUntil, epoch, fetchMs: 1, usesLeft: 5, hits: 0 }
      return { verdict: deny(60_000, message), ...rest, isFetched: true, lastHitAt: NOW, answers: 0 }
    }
    tier.set('key', entry('no'))
    expect(tier.peek('key')).toBeDefined()
    tier.set('key', entry('x'.repeat(20_000)))
    expect(tier.peek('key')).toBeUndefined()
    const long = entry('no')
    tier.set('key', { ...long, verdict: { ...long.verdict, output: { owner: 'x'.repeat(20_000) } } })
    expect(tier.peek('key')).toBeUndefined()
    expect(meter.value('cache_refused_total', 'verdict', 'too_large')).toBe(2)
  })
})
