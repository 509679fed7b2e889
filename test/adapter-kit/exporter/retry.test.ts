import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_EXPORT_LIMITS } from '../../../src/adapter-kit/exporter/limits.ts'
import { retryByClass, retryWhole, type Send } from '../../../src/adapter-kit/exporter/retry.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { type Letters, LETTERS } from './text-parts.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'

const { retries } = DEFAULT_EXPORT_LIMITS
const HOUR_MS = 3_600_000

function failing(error: unknown, { random = 0.5, mayRetry = true, ordered = false } = {}) {
  const send: Send<Letters> = async () => {
    throw error
  }
  const options = { clock: new FakeClock(), retries, random: () => random, mayRetry: () => mayRetry, ordered }
  const consume = retryByClass(send, LETTERS, options)
  return (before: number, ageMs = 0) => consume({ id: 'b', text: 'abc' }, { before, ageMs, takenOver: false })
}

describe('retry by class', () => {
  it('takes what is sent as delivered, however old', async () => {
    const consume = retryWhole<string>(() => Promise.resolve(), { clock: new FakeClock(), retries, random: () => 0 })
    expect(await consume('b', { before: 3, ageMs: 99 * HOUR_MS, takenOver: false })).toEqual({ kind: 'delivered' })
  })

  it.each(['BACKEND_REFUSED', 'INVALID_REQUEST', 'INVALID_CONFIG'] as const)('ends at once after %s', async (code) => {
    const error = new IntermixError(code, 'no', { retryAfterMs: 10 })
    expect(await failing(error)(0)).toEqual({ kind: 'ended', why: 'refused', error })
  })

  it.each([
    new Error('boom'),
    'not even an error',
    new IntermixError('BACKEND_FAILED', 'away'),
    new IntermixError('DEADLINE_EXCEEDED', 'slow'),
  ])('tries again after %s, however often, until the batch is a day old', async (error) => {
    const consume = failing(error)
    expect(await consume(0)).toEqual({ kind: 'again', afterMs: 500, error })
    expect(await consume(3)).toEqual({ kind: 'again', afterMs: 4000, error })
    expect(await consume(5000, 24 * HOUR_MS - 1)).toEqual({ kind: 'again', afterMs: 30_000, error })
    expect(await consume(1, 24 * HOUR_MS)).toEqual({ kind: 'ended', why: 'failed', error })
  })

  it('does not try again when there is no time for it', async () => {
    const error = new IntermixError('BACKEND_FAILED', 'away')
    expect(await failing(error, { mayRetry: false })(0)).toMatchObject({ kind: 'ended', why: 'failed' })
  })

  it('holds the queue where the order counts', async () => {
    const error = new IntermixError('BACKEND_FAILED', 'away')
    expect(await failing(error, { ordered: true })(0)).toEqual({ kind: 'hold', afterMs: 500, error })
  })

  it('has the queue wait as long as the backend asks, an hour at most, and a batch never less than its delay', async () => {
    const asked = fc.oneof(fc.double(), fc.integer({ min: 0, max: 2 * HOUR_MS }), fc.constant(undefined))
    const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    await fc.assert(
      fc.asyncProperty(asked, unit, fc.nat(2000), async (retryAfterMs, share, before) => {
        const error = new IntermixError('OVERLOADED', 'later', { retryAfterMs })
        const outcome = await failing(error, { random: share })(before)
        const patienceMs = Math.min(Math.max(retryAfterMs ?? 0, 0) || 0, HOUR_MS)
        const delayMs = share * Math.min(60_000, 1000 * 2 ** before)
        expect(outcome).toEqual({
          kind: 'again',
          afterMs: Math.max(delayMs, patienceMs),
          error,
          ...(patienceMs > 0 ? { pauseMs: patienceMs } : {}),
        })
      }),
    )
  })
})
