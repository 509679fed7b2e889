// Answers are found by values of any length: long ones by a digest, since V8 tells long texts in a map apart by their length alone.

import { expect, it } from 'vitest'
import { AnswerCache, type AnswerScope } from '../../src/cache/answer-cache.ts'
import { createRefusals } from '../../src/cache/cache-metrics.ts'
import { answerKey } from '../../src/cache/kept-answer.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { OK_STATUS } from '../../src/kernel/status.ts'
import { ReadableMeter } from '../redis/support.ts'

const { epoch } = new Revocations()

function cacheOf(): AnswerCache {
  const options = { maxEntries: 1e6, maxBytes: 1e9, maxAgeMs: () => 1e9, onEvict() {} }
  const refused = createRefusals(new ReadableMeter(), 'answer')
  return new AnswerCache({ ...options, revocations: new Revocations(), refused })
}

function store(cache: AnswerCache, scope: AnswerScope, value: string, usesLeft: number): void {
  const given = { requestHeaders: [], responseHeaders: [], directResponse: undefined, deniedBy: undefined }
  const answer = { status: OK_STATUS, validForMs: 1, validUses: 1, tier: 'backend' as const, ageMs: 0, ...given }
  const reads = new ReadCollector()
  reads.attribute('a', value)
  const life = { createdAt: 0, freshUntil: 60_000, epoch }
  cache.store(scope, reads.steps, { answer, reads: [], ...life, parts: [], isUseBound: true, usesLeft })
}

const found = (cache: AnswerCache, scope: AnswerScope, value: string) =>
  cache.find(scope, MapBag.of({ a: value }), [], 1)

it('tells long values apart, and holds none of them', () => {
  const cache = cacheOf()
  const scope = cache.scope('rules')
  const long = 'x'.repeat(100_000)
  // Halves of pairs of code units are one and the same in UTF-8.
  const values = [`${long}a`, `${long}b`, `${long}\ud800`, `${long}\ud801`, 'short', 'x'.repeat(2_048)]
  for (const [i, value] of values.entries()) store(cache, scope, value, 10 + i)
  // What was found has one use less.
  expect(values.map((value) => found(cache, scope, value)?.usesLeft)).toEqual([9, 10, 11, 12, 13, 14])
  expect(found(cache, scope, `${long}c`)).toBeUndefined()
  expect(cache.bytes).toBeLessThan(10_000)
  // A value that looks like the key of another one is its own.
  expect(found(cache, scope, answerKey(`s${long.length + 1}:${long}a`))).toBeUndefined()
  cache.clear()
  expect([cache.size, cache.bytes]).toEqual([0, 0])
})

it('has keys of no more than a few thousand characters, by which V8 finds them', () => {
  expect(answerKey('s5:short')).toBe('s5:short')
  expect(answerKey('x'.repeat(20_000)).length).toBeLessThan(100)
  expect(answerKey('x'.repeat(20_000))).not.toBe(answerKey(`${'x'.repeat(19_999)}y`))
})
