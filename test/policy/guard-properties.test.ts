import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { guardOnFakeClock, outcomeOf } from './guard-support.ts'

const CODES = new Set(['BACKEND_FAILED', 'BACKEND_REFUSED', 'DEADLINE_EXCEEDED', 'OVERLOADED'])

const behaviour = fc.oneof(
  fc.record({ kind: fc.constant('resolve' as const), after: fc.nat(300), own: fc.constant(false) }),
  fc.record({ kind: fc.constant('reject' as const), after: fc.nat(300), own: fc.boolean() }),
  fc.record({
    kind: fc.constantFrom('hang' as const, 'throw' as const, 'plain' as const),
    after: fc.constant(0),
    own: fc.constant(false),
  }),
)

const call = fc.record({
  at: fc.nat(400),
  allows: fc.integer({ min: -5, max: 300 }),
  attempts: fc.array(behaviour, { minLength: 2, maxLength: 2 }),
})

describe('a guard under any adapter', () => {
  it('settles every call by its deadline, with a value that was given in time or with a known error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 12 }), async (calls) => {
        const { guard, clock, later, failLater } = guardOnFakeClock(
          { initialConcurrency: 2, maxConcurrency: 2, maxQueue: 3 },
          200,
        )
        const outcomes = calls.map((one, index) => {
          const record: { outcome?: unknown; settledAt?: number; givenAt?: number; begunAt?: number } = {}
          let attempt = 0
          const adapter = () => {
            const how = one.attempts[attempt++] ?? { kind: 'hang' as const, after: 0 }
            if (how.kind === 'throw') throw new TypeError('bug')
            record.givenAt = clock.monotonic() + how.after
            if (how.kind === 'plain') return `value ${index}`
            if (how.kind === 'hang') return new Promise<string>(() => undefined)
            if (how.kind === 'resolve') return later(how.after, `value ${index}`)
            return failLater(how.after, how.own ? new IntermixError('BACKEND_FAILED', 'down') : new Error('bug'))
          }
          clock.after(one.at, () => {
            record.begunAt = clock.monotonic()
            const options = { deadline: clock.monotonic() + one.allows }
            void outcomeOf(() => guard.run(adapter, options)).then((outcome) => {
              record.outcome = outcome
              record.settledAt = clock.monotonic()
            })
          })
          return record
        })
        await clock.advance(2_000)
        for (const [index, record] of outcomes.entries()) {
          const { allows } = calls[index] ?? { allows: 0 }
          const elapsed = (record.settledAt ?? Number.POSITIVE_INFINITY) - (record.begunAt ?? 0)
          expect(elapsed).toBeLessThanOrEqual(Math.max(0, Math.min(allows, 200)))
          const { value, error } = record.outcome as { value?: unknown; error?: unknown }
          const isGivenInTime = value === `value ${index}` && record.settledAt === record.givenAt
          const isKnownError = error instanceof IntermixError && CODES.has(error.code)
          expect({ value, error, isSound: isGivenInTime !== isKnownError }).toMatchObject({ isSound: true })
        }
        await clock.advance(60_000)
        expect(clock.pending).toBe(0)
        expect(guard.run(() => 'free again', { deadline: clock.monotonic() + 10 })).toBe('free again')
      }),
      { numRuns: 150 },
    )
  })
})
