// A copy of a cache's own size finds what the cache finds, whatever becomes of its entries: what is used up or revoked before
// its end, what is renewed ahead of need, other sizes.

import { hash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AnswerCache } from '../../../src/cache/answer-cache.ts'
import { LocalTier } from '../../../src/cache/local-tier.ts'
import { ReadCollector } from '../../../src/cache/read-collector.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import { CurveSampler } from '../../../src/cache/tuning/curve-sampler.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import type { Verdict } from '../../../src/kernel/verdict.ts'

const ALLOW: Verdict = { kind: 'allow', status: OK_STATUS, validForMs: 1, validUses: 9 }
const SMALLEST = 600
const { epoch } = new Revocations()
const nothing = { add() {} }
const ignore = () => {}

const steps = fc.array(
  fc.record({
    key: fc.nat(30),
    what: fc.constantFrom('ask' as const, 'ask' as const, 'ask' as const, 'refresh' as const, 'resize' as const),
    lifeMs: fc.integer({ min: 1, max: 60 }),
    uses: fc.integer({ min: 1, max: 4 }),
    afterMs: fc.nat(4),
  }),
  { minLength: 50, maxLength: 400 },
)

/** A cache that is asked: an entry that is there is found until its end, and as often as it has uses. */
interface Asked {
  maxBytes: number
  find(key: number, now: number): boolean
  has(key: number): boolean
  store(
    key: number,
    now: number,
    life: { readonly lifeMs: number; readonly uses: number; readonly isAsked: boolean },
  ): void
}

function verdictsBefore(watch: CurveSampler): Asked {
  const refused = nothing
  const tier = new LocalTier({ maxEntries: 1e9, maxBytes: SMALLEST, onEvict: ignore, refused, watch })
  const nameOf = (key: number) => hash('sha256', String(key), 'base64url')
  return {
    get maxBytes() {
      return tier.maxBytes
    },
    set maxBytes(bytes) {
      tier.maxBytes = bytes
    },
    has: (key) => tier.peek(nameOf(key)) !== undefined,
    find(key, now) {
      const entry = tier.get(nameOf(key))
      if (entry === undefined || now >= entry.freshUntil || entry.usesLeft <= 0) return false
      entry.usesLeft--
      tier.served(nameOf(key), entry, now + 1)
      return true
    },
    store(key, now, { lifeMs, uses, isAsked }) {
      const times = {
        createdAt: now,
        freshUntil: now + lifeMs,
        staleUntil: now + lifeMs,
        fetchMs: 1,
        lastHitAt: now,
        answers: 0,
      }
      const entry = { verdict: ALLOW, ...times, epoch, isFetched: true, usesLeft: uses, hits: 0 }
      tier.set(nameOf(key), entry, { isAsked, servedForMs: 0 })
    },
  }
}

function answersBefore(watch: CurveSampler): Asked {
  const refused = { size: nothing, reads: nothing }
  const bounds = { maxEntries: 1e9, maxBytes: SMALLEST, maxAgeMs: () => 1e9, onEvict: ignore, refused, watch }
  const cache = new AnswerCache({ ...bounds, revocations: new Revocations() })
  const given = { requestHeaders: [], responseHeaders: [], directResponse: undefined, deniedBy: undefined }
  const answer = { status: OK_STATUS, validForMs: 1, validUses: 1, tier: 'backend' as const, ageMs: 0, ...given }
  const kept = new Set<number>()
  return {
    get maxBytes() {
      return cache.maxBytes
    },
    set maxBytes(bytes) {
      cache.maxBytes = bytes
    },
    has: (key) => kept.has(key),
    find: (key, now) => cache.find(cache.scope('rules'), MapBag.of({ 'a.name': `${key}` }), [], now) !== undefined,
    store(key, now, { lifeMs, uses, isAsked }) {
      const reads = new ReadCollector()
      reads.attribute('a.name', `${key}`)
      const times = { createdAt: now, freshUntil: now + lifeMs, epoch }
      const stored = { answer, reads: [], ...times, parts: [], isUseBound: true, usesLeft: uses }
      cache.store(cache.scope('rules'), reads.steps, stored, isAsked)
      kept.add(key)
    },
  }
}

it.each([
  ['verdicts', verdictsBefore],
  ['answers', answersBefore],
] as const)('%s', (kind, before) => {
  fc.assert(
    fc.property(steps, (asks) => {
      let now = 1
      const sampler = new CurveSampler({ kind, now: () => now, rate: 1, bytes: 1e6, multiples: [1], replicas: 1 })
      const cache = before(sampler)
      // Room for all: which answers make room depends on what trees take, of which copies know a share alone.
      cache.maxBytes = 1e6
      let [lookups, missed] = [0, 0]
      for (const { key, what, lifeMs, uses, afterMs } of asks) {
        now += afterMs
        if (what === 'resize' && kind === 'verdicts') {
          cache.maxBytes = 260 * (2 + key)
          sampler.resize(cache.maxBytes)
        } else if (what === 'refresh') {
          if (cache.has(key)) cache.store(key, now, { lifeMs, uses, isAsked: false })
        } else {
          lookups++
          if (cache.find(key, now)) continue
          missed++
          cache.store(key, now, { lifeMs, uses, isAsked: true })
        }
      }
      expect(sampler.counts).toEqual({ lookups, missed })
      // What the copy has counted by itself: the cache has no say in it.
      const { points } = sampler.since.curve
      expect(lookups * (points[0]?.miss ?? 0)).toBeCloseTo(lookups === 0 ? 0 : missed)
    }),
  )
})
