// The caches of a node, as they are put together there, before a backend that answers at once.

import { hash } from 'node:crypto'
import { AnswerCache, type AnswerScope, type StoredAnswer } from '../../src/cache/answer-cache.ts'
import { LocalTier } from '../../src/cache/local-tier.ts'
import type { LookupWatch } from '../../src/cache/lookup-watch.ts'
import { ReadCollector } from '../../src/cache/read-collector.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { OK_STATUS } from '../../src/kernel/status.ts'
import type { Verdict } from '../../src/kernel/verdict.ts'

const FOREVER_MS = 1e9
const ALLOW: Verdict = { kind: 'allow', status: OK_STATUS, validForMs: FOREVER_MS, validUses: 1e9 }
const { epoch } = new Revocations()
const nothing = { add() {} }
const ignore = () => {}

/** Looks for a key, and stores it where it is not found. @returns whether it was found */
export type Ask = (key: number) => boolean

export function verdictTier(maxBytes: number, watch?: LookupWatch) {
  return new LocalTier({ maxEntries: Number.POSITIVE_INFINITY, maxBytes, onEvict: ignore, refused: nothing, watch })
}

export function askVerdicts(tier: LocalTier): Ask {
  const texts = new Map<number, string>()
  return (key) => {
    let text = texts.get(key)
    if (text === undefined) {
      text = hash('sha256', String(key), 'base64url')
      if (key < 1e6) texts.set(key, text)
    }
    const found = tier.get(text)
    if (found !== undefined) {
      tier.served(text, found, FOREVER_MS)
      return true
    }
    tier.set(text, entry())
    return false
  }
}

function entry(): VerdictEntry {
  return {
    verdict: ALLOW,
    createdAt: 0,
    freshUntil: FOREVER_MS,
    staleUntil: FOREVER_MS,
    epoch,
    isFetched: true,
    fetchMs: 1,
    usesLeft: 1e9,
    hits: 0,
    lastHitAt: 0,
    answers: 0,
  }
}

export function answerCache(maxBytes: number, watch?: LookupWatch) {
  return new AnswerCache({
    maxEntries: Number.POSITIVE_INFINITY,
    maxBytes,
    revocations: new Revocations(),
    maxAgeMs: () => FOREVER_MS,
    onEvict: ignore,
    refused: { size: nothing, reads: nothing },
    watch,
  })
}

const STORED: StoredAnswer = {
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
  createdAt: 0,
  freshUntil: FOREVER_MS,
  epoch,
  parts: [],
  isUseBound: false,
  usesLeft: 1e9,
}

export function askAnswers(cache: AnswerCache): Ask {
  let scope: AnswerScope | undefined
  return (key) => {
    scope = cache.scope('rules')
    const name = `user-${key}@example.com`
    if (cache.find(scope, MapBag.of({ 'source.principal': name }), [], 1) !== undefined) return true
    const reads = new ReadCollector()
    reads.attribute('source.principal', name)
    cache.store(scope, reads.steps, STORED)
    return false
  }
}
