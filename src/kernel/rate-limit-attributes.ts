// The attributes of a demand for rate limits, one descriptor at a time. Whatever reads one of them is there for such demands
// alone, so every config knows them.

import type { Vocabulary } from './attribute-bag.ts'

export const RATE_LIMIT_DOMAIN = 'ratelimit.domain'
/** The entries of the descriptor. */
export const RATE_LIMIT_DESCRIPTOR = 'ratelimit.descriptor'
/** How many hits it is; 0 only looks. */
export const RATE_LIMIT_HITS = 'ratelimit.hits'

export const RATE_LIMIT_ATTRIBUTES: Vocabulary = new Map([
  [RATE_LIMIT_DOMAIN, 'STRING'],
  [RATE_LIMIT_DESCRIPTOR, 'STRING_MAP'],
  [RATE_LIMIT_HITS, 'INT64'],
])
