// A copy without values keeps what the cache keeps that it stands for, entry by entry.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AnswerCache } from '../../../src/cache/answer-cache.ts'
import { createRefusals } from '../../../src/cache/cache-metrics.ts'
import { keyFingerprint } from '../../../src/cache/key-fingerprint.ts'
import { LocalTier } from '../../../src/cache/local-tier.ts'
import { ReadCollector } from '../../../src/cache/read-collector.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import { MINI_CACHES } from '../../../src/cache/tuning/mini-cache.ts'
import { entryBytes, type VerdictEntry } from '../../../src/cache/verdict-entry.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { OK_STATUS } from '../../../src/kernel/status.ts'
import { hash } from 'node:crypto'
import { ReadableMeter } from '../../redis/support.ts'

const asks = fc.array(
  fc.record({ key: fc.nat(40), lifeMs: fc.integer({ min: 1, max: 60 }), afterMs: fc.nat(4), text: fc.nat(20) }),
  { maxLength: 400 },
)
const sizes = fc.integer({ min: 2, max: 20 })
const { epoch } = new Revocations()

it('verdicts', () => {
  fc.assert(
    fc.property(sizes, asks, (size, steps) => {
      const maxBytes = size * 300
      const refused = createRefusals(new ReadableMeter(), 'verdict').size
      const tier = new LocalTier({ maxEntries: 1e6, maxBytes, onEvict() {}, refused })
      const mini = MINI_CACHES.verdicts()
      mini.resize(maxBytes)
      let now = 0
      for (const { key, lifeMs, afterMs, text } of steps) {
        now += afterMs
        const name = hash('sha256', String(key), 'base64url')
        const entry: VerdictEntry = {
          verdict: { kind: 'deny', status: { code: 7, message: 'x'.repeat(text) }, validForMs: lifeMs, validUses: 9 },
          createdAt: now,
          freshUntil: now + lifeMs,
          staleUntil: now + lifeMs,
          epoch,
          isFetched: true,
          fetchMs: 1,
          usesLeft: 9,
          hits: 0,
          lastHitAt: now,
          answers: 0,
        }
        const found = tier.get(name)
        const isHit = found !== undefined && now < found.freshUntil
        if (!isHit) tier.set(name, entry)
        expect(mini.ask(keyFingerprint(name), entryBytes(name, entry), now + lifeMs, now)).toBe(isHit)
        expect(mini.size).toBe(tier.size)
      }
    }),
  )
})

it('answers', () => {
  fc.assert(
    fc.property(sizes, asks, (size, steps) => {
      const refused = createRefusals(new ReadableMeter(), 'answer')
      const bounds = { maxEntries: size, maxBytes: 1e9, maxAgeMs: () => 1e9, onEvict() {} }
      const cache = new AnswerCache({ ...bounds, revocations: new Revocations(), refused })
      const scope = cache.scope('rules')
      const mini = MINI_CACHES.answers()
      mini.resize(size)
      let now = 0
      for (const { key, lifeMs, afterMs } of steps) {
        now += afterMs
        const isHit = cache.find(scope, MapBag.of({ 'a.name': `${key}` }), [], now) !== undefined
        if (!isHit) {
          const reads = new ReadCollector()
          reads.attribute('a.name', `${key}`)
          cache.store(scope, reads.steps, {
            answer: {
              status: OK_STATUS,
              validForMs: 1,
              validUses: 1,
              tier: 'backend',
              ageMs: 0,
              requestHeaders: [],
              responseHeaders: [],
              directResponse: undefined,
              deniedBy: undefined,
            },
            reads: [],
            createdAt: now,
            freshUntil: now + lifeMs,
            epoch,
            parts: [],
            isUseBound: false,
            usesLeft: 9,
          })
        }
        expect(mini.ask(key, 1, now + lifeMs, now)).toBe(isHit)
        expect(mini.size).toBe(cache.size)
      }
    }),
  )
})
