import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { retryByClass, type Send } from '../../../src/adapter-kit/exporter/retry.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'

const retries = { attempts: 8, firstDelayMs: 1000 }
const HOUR_MS = 3_600_000

function consume(error: unknown, { random = 0, mayRetry = true } = {}) {
  const send: Send<string> = async () => {
    throw error
  }
  return retryByClass(send, { retries, random: () => random, mayRetry: () => mayRetry })
}

describe('retry by class', () => {
  it('takes what is sent as delivered', async () => {
    const send: Send<string> = () => Promise.resolve()
    expect(await retryByClass(send, { retries, random: () => 0 })('b', 3)).toEqual({ kind: 'delivered' })
  })

  it.each(['BACKEND_REFUSED', 'INVALID_REQUEST', 'INVALID_CONFIG'] as const)('ends at once after %s', async (code) => {
    const error = new IntermixError(code, 'no', { retryAfterMs: 10 })
    expect(await consume(error)('b', 0)).toEqual({ kind: 'ended', why: 'refused', error })
  })

  it.each([
    new Error('boom'),
    'not even an error',
    new IntermixError('BACKEND_FAILED', 'away'),
    new IntermixError('DEADLINE_EXCEEDED', 'slow'),
  ])('tries again after %s, until the last try', async (error) => {
    expect(await consume(error)('b', 0)).toEqual({ kind: 'again', afterMs: 1000, error })
    expect(await consume(error)('b', 6)).toEqual({ kind: 'again', afterMs: 64_000, error })
    expect(await consume(error)('b', 7)).toEqual({ kind: 'ended', why: 'failed', error })
    expect(await consume(error)('b', 70)).toEqual({ kind: 'ended', why: 'failed', error })
  })

  it('does not try again when there is no time for it', async () => {
    const error = new IntermixError('BACKEND_FAILED', 'away')
    expect(await consume(error, { mayRetry: false })('b', 0)).toMatchObject({ kind: 'ended', why: 'failed' })
  })

  it('waits as long as the backend asks, an hour at most, and never less than its own delay less the jitter', async () => {
    const asked = fc.oneof(fc.double(), fc.integer({ min: 0, max: 2 * HOUR_MS }), fc.constant(undefined))
    const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    await fc.assert(
      fc.asyncProperty(asked, unit, fc.nat(6), async (retryAfterMs, share, before) => {
        const error = new IntermixError('OVERLOADED', 'later', { retryAfterMs })
        const outcome = await consume(error, { random: share })('b', before)
        const afterMs = outcome.kind === 'again' ? outcome.afterMs : Number.NaN
        const delayMs = 1000 * 2 ** before
        const patienceMs = Math.min(Math.max(retryAfterMs ?? 0, 0) || 0, HOUR_MS)
        expect(afterMs).toBeGreaterThanOrEqual(Math.max(delayMs / 2, patienceMs))
        expect(afterMs).toBeLessThanOrEqual(Math.max(delayMs, patienceMs))
      }),
    )
  })
})
