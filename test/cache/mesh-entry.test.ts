// What a node takes from the mesh tier is never younger, and never lives longer, than it was for the node that has stored it:
// clocks tell whole milliseconds, and a process counts from any fraction of one.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { entryOf } from '../../src/cache/mesh-entry.ts'
import { encodeBlob } from '../../src/cache/verdict-blob.ts'
import { allow, handlerConfig } from './support.ts'

const VALID_MS = 60_000
const UNSIGNED = { created: '', freshUntil: '', signature: '' }
const EPOCH = { generation: 'g', sequence: 0 }

it('is as old as it is, whatever fractions of a millisecond clocks do not tell', () => {
  const handler = handlerConfig()
  const question = { token: 't', leaseMs: 0, known: undefined, maxUses: 1, maxStaleUses: 1, handler }
  const verdict = allow(VALID_MS)
  const times = { createdAt: 0, freshUntil: VALID_MS, staleUntil: VALID_MS, lastHitAt: 0, answers: 0 }
  const stored = { ...times, verdict, epoch: EPOCH, isFetched: true, fetchMs: 0, usesLeft: 1, hits: 0 }
  const blob = encodeBlob('k', stored)
  // Sixteenths are exact: times on the server's clock at which it was made and looked up, the way there, and how far the node's
  // clock is ahead.
  const sixteenths = (max: number) => fc.integer({ min: 0, max }).map((n) => n / 16)
  const made = fc.integer({ min: 0, max: 100 })
  fc.assert(
    fc.property(made, sixteenths(16_000), sixteenths(160), sixteenths(15), (createdAt, later, way, ahead) => {
      const lookedUpAt = createdAt + later
      const now = Math.floor(lookedUpAt)
      const told = { state: 'F', ageMs: now - createdAt, remainingMs: createdAt + VALID_MS - now } as const
      const raw = { ...told, uses: 1, blob, wrong: '', usesHeld: 1, now, ...UNSIGNED }
      const entry = entryOf('k', raw, lookedUpAt - way + ahead, question)
      if (typeof entry === 'string') throw new Error(entry)
      expect(entry.createdAt).toBeLessThanOrEqual(createdAt + ahead)
      expect(entry.freshUntil).toBeLessThanOrEqual(createdAt + ahead + VALID_MS)
    }),
  )
})
