// Caches are bounded by what they say that they hold, so that must be what they take of memory.

import { expect, it } from 'vitest'
import { AnswerCache, type StoredAnswer } from '../../src/cache/answer-cache.ts'
import { createRefusals } from '../../src/cache/cache-metrics.ts'
import { instanceKey } from '../../src/cache/instance-key.ts'
import { LocalTier } from '../../src/cache/local-tier.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import { OK_STATUS } from '../../src/kernel/status.ts'
import type { Verdict } from '../../src/kernel/verdict.ts'
import { usedHeap } from '../helpers/used-heap.ts'
import { ReadableMeter } from '../redis/support.ts'

const ENTRIES = 20_000
const { epoch } = new Revocations()
const ALLOW: Verdict = { kind: 'allow', status: OK_STATUS, validForMs: 60_000, validUses: 10_000 }
const text = (i: number) => Buffer.from(`user-${i}@example.com`).toString()
const message = (i: number) => Buffer.from(`no, not ${i}, since it is not on the list`).toString()

function denied(i: number): Verdict {
  return { kind: 'deny', status: { code: 7, message: message(i) }, validForMs: 60_000, validUses: 10_000 }
}

function entry(verdict: Verdict, i: number): VerdictEntry {
  const times = {
    createdAt: i,
    freshUntil: i + 60_000,
    staleUntil: i + 90_000,
    fetchMs: i % 20,
    lastHitAt: i,
    answers: 0,
  }
  return { verdict, ...times, epoch, isFetched: true, usesLeft: 10_000, hits: i % 7 }
}

/** What was kept takes between three quarters and five quarters of what the cache says. */
async function expectCounted(counted: () => number, fill: () => void): Promise<void> {
  // The runner holds what the test before had until the next turn: it would be missed afterwards.
  await new Promise((resolve) => setImmediate(resolve))
  const [heap, bytes] = [usedHeap(), counted()]
  fill()
  const [took, says] = [usedHeap() - heap, counted() - bytes]
  expect(took / says).toBeGreaterThan(0.75)
  expect(took / says).toBeLessThan(1.25)
}

it.each([
  ['permissions', () => ALLOW],
  ['denials', denied],
  ['texts of two bytes a character', (i: number) => ({ ...denied(i), status: { code: 7, message: long(i, 'ž') } })],
  [
    'answers of their own',
    (i: number) => ({ ...denied(i), directResponse: { code: 403, headers: {}, body: long(i, 'ž') } }),
  ],
])('counts the verdicts that it keeps: %s', async (_name, verdict) => {
  const { size } = createRefusals(new ReadableMeter(), 'verdict')
  const tier = new LocalTier({ maxEntries: 1e6, maxBytes: 1e9, onEvict() {}, refused: size })
  const put = (i: number) => {
    const fields = { value: text(i) }
    tier.set(instanceKey('digest', { name: 'i', template: 'listentry', fields }), entry(verdict(i), i))
  }
  put(-1)
  await expectCounted(
    () => tier.bytes,
    () => {
      for (let i = 0; i < ENTRIES; i++) put(i)
    },
  )
  expect(tier.size).toBe(ENTRIES + 1)
})

function answersOf() {
  const options = { maxEntries: 1e6, maxBytes: 1e9, maxAgeMs: () => 1e9, onEvict() {} }
  const refused = createRefusals(new ReadableMeter(), 'answer')
  return new AnswerCache({ ...options, revocations: new Revocations(), refused })
}

function storedOf(verdict: Verdict, i: number, parts: readonly VerdictEntry[]): StoredAnswer {
  const deniedBy = verdict.kind === 'allow' ? undefined : { rule: 'r', handler: 'h' }
  const given = { requestHeaders: [], responseHeaders: [], directResponse: undefined, deniedBy }
  const answer = { status: verdict.status, validForMs: 1, validUses: 1, tier: 'backend' as const, ageMs: 0, ...given }
  return { answer, reads: [], createdAt: i, freshUntil: i + 60_000, epoch, parts, isUseBound: false, usesLeft: 10_000 }
}

it.each([
  ['permissions', () => ALLOW],
  ['denials', denied],
])('counts the answers that it keeps by what was read: %s', async (_name, verdict) => {
  const cache = answersOf()
  const scope = cache.scope('rules')
  const part = entry(ALLOW, 0)
  const put = (i: number) => {
    const reads = new ReadCollector()
    reads.attribute('source.principal', text(i))
    cache.store(scope, reads.steps, storedOf(verdict(i), i, [part]))
  }
  put(-1)
  await expectCounted(
    () => cache.bytes,
    () => {
      for (let i = 0; i < ENTRIES; i++) put(i)
    },
  )
})

it.each([
  ['plain ones', () => ALLOW],
  ['with a message', denied],
  ['with an output', (i: number) => ({ ...ALLOW, output: { name: text(i), note: message(i), group: text(-i) } })],
])('counts the verdicts that answers are made of, which no tier holds any more: %s', async (_name, verdict) => {
  const cache = answersOf()
  const scope = cache.scope('rules')
  const put = (i: number) => {
    const reads = new ReadCollector()
    reads.attribute('source.principal', text(i))
    const parts = [entry(verdict(i), i), entry(verdict(i + 0.5), i)]
    // Whoever asks for another path has another answer, of one of them.
    const rest = new ReadCollector()
    rest.attribute('source.principal', `${text(i)} elsewhere`)
    cache.store(scope, reads.steps, storedOf(ALLOW, i, parts))
    cache.store(scope, rest.steps, storedOf(ALLOW, i, parts.slice(1)))
  }
  put(-1)
  const before = cache.bytes
  await expectCounted(
    () => cache.bytes,
    () => {
      for (let i = 0; i < ENTRIES / 2; i++) put(i)
    },
  )
  put(1)
  cache.maxBytes = before
  expect(cache.bytes).toBeLessThanOrEqual(before)
  cache.clear()
  expect(cache.bytes).toBe(0)
})

const long = (i: number, letter: string) => Buffer.from(`${letter.repeat(1_000)}${i}`).toString()

it.each([
  ['one byte a character', 'x'],
  ['two bytes a character', 'ž'],
])('counts what answers hold of requests: %s', async (_name, letter) => {
  const cache = answersOf()
  const scope = cache.scope('rules')
  const put = (i: number) => {
    const reads = new ReadCollector()
    reads.attribute('source.principal', long(i, letter))
    const stored = storedOf(ALLOW, i, [])
    const header = (name: string) => ({ name, value: long(i, letter), operation: 'REPLACE' as const })
    const answer = { ...stored.answer, requestHeaders: [header('x-user')], responseHeaders: [header('x-seen')] }
    cache.store(scope, reads.steps, { ...stored, answer })
  }
  put(-1)
  await expectCounted(
    () => cache.bytes,
    () => {
      for (let i = 0; i < 5_000; i++) put(i)
    },
  )
})

it.each([
  ['one of many rules matches', 1_000, 1],
  ['each has rules of its own', 2_000, 2_000],
])('counts the shapes of answers: %s', async (_name, rules, scopes) => {
  const cache = answersOf()
  const predicates = Array.from({ length: rules }, (_, i) => {
    return { id: `is ${i}`, attribute: 'a', mapKey: undefined, test: () => false, travels: () => undefined }
  })
  const put = (i: number) => {
    const reads = new ReadCollector()
    const [from, to] = scopes === 1 ? [0, rules] : [i, i + 1]
    for (let j = from; j < to; j++) reads.predicate(predicates[j] as (typeof predicates)[0], i === j)
    cache.store(cache.scope(`rules ${i % scopes}`), reads.steps, storedOf(ALLOW, i, []))
  }
  put(0)
  await expectCounted(
    () => cache.bytes,
    () => {
      for (let i = 1; i < rules; i++) put(i)
    },
  )
  expect([cache.shapes, cache.size]).toEqual([rules, rules])
})

it('counts the shapes of answers by keys that requests chose', () => {
  const cache = answersOf()
  const scope = cache.scope('rules')
  const put = (i: number) => {
    const reads = new ReadCollector()
    reads.attribute('a', text(i))
    reads.mapKey('m', Buffer.alloc(300, `key ${i} `).toString(), undefined)
    cache.store(scope, reads.steps, storedOf(ALLOW, i, []))
  }
  for (let i = 0; i < 64; i++) put(i)
  const { bytes } = cache
  for (let i = 0; i < 1_000; i++) put(i)
  expect(cache.bytes).toBeLessThan(1.1 * bytes)
})
