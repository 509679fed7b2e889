import { describe, expect, it } from 'vitest'
import { createExporter } from '../../../src/adapter-kit/exporter/exporter.ts'
import type { Push } from '../../../src/adapter-kit/exporter/timeout.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { Pace } from '../../../src/adapter-kit/exporter/pace.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { type Letters, LETTERS } from './text-parts.ts'

function exporterTo(push: Push<Letters>, { ordered = false } = {}) {
  const clock = new FakeClock()
  const seen: string[] = []
  const observer = {
    delivered: () => void seen.push('delivered'),
    failed: (error: unknown) => void seen.push((error as Error).message),
  }
  const random = () => 0.5
  const pace = new Pace(clock, random, 4)
  const retries = { firstDelayMs: 10, maxDelayMs: 1000, maxAgeMs: 100 }
  const consume = createExporter(push, {
    clock,
    random,
    parts: LETTERS,
    ordered,
    pace,
    timeoutMs: 50,
    name: 'backend',
    retries,
    observer,
  })
  const give = (text: string, ageMs = 0) => consume({ id: 'b', text }, { before: 0, ageMs, takenOver: false })
  return { clock, seen, give, pace }
}

describe('the exporter chain', () => {
  it('gives the adapter the batch and its deadline, and sees that it was delivered', async () => {
    const calls: unknown[] = []
    const { give, seen } = exporterTo((batch, { deadline, signal }) => {
      calls.push([batch.text, deadline, signal.aborted])
    })
    expect(await give('b-1')).toEqual({ kind: 'delivered' })
    expect(calls).toEqual([['b-1', 50, false]])
    expect(seen).toEqual(['delivered'])
  })

  it('sees each failed try, thrown or rejected, and ends what is too old', async () => {
    const error = new IntermixError('BACKEND_FAILED', 'away')
    let calls = 0
    const { give, seen } = exporterTo(() => {
      if (++calls === 1) throw error
      return Promise.reject(error)
    })
    expect(await give('b-1')).toEqual({ kind: 'again', afterMs: 5, error })
    expect(await give('b-1', 100)).toEqual({ kind: 'ended', why: 'failed', error })
    expect(seen).toEqual(['away', 'away'])
  })

  it('gives up a call that does not come back, tells it so, and tries again', async () => {
    let signal: AbortSignal | undefined
    const { give, seen, clock } = exporterTo((_batch, call) => {
      signal = call.signal
      return new Promise(() => undefined)
    })
    const pending = give('b-1')
    await clock.advance(49)
    expect(seen).toEqual([])
    await clock.advance(1)
    expect(await pending).toMatchObject({ kind: 'again', error: { code: 'DEADLINE_EXCEEDED' } })
    expect(seen).toEqual(['backend took longer than 50 ms'])
    expect(signal?.aborted).toBe(true)
    expect(clock.pending).toBe(0)
  })

  const partly = (text: string) => ({
    failed: Array.from(text).flatMap((letter, index) =>
      letter === '.' ? [] : [{ index, reason: letter, retry: letter === 'r' }],
    ),
  })

  it('ends what is refused of a batch, and gives the rest again', async () => {
    const { give } = exporterTo(({ text }) => partly(text))
    expect(await give('..rx.')).toMatchObject({
      kind: 'part',
      delivered: 3,
      ended: [{ batch: { id: 'b-x', text: 'x' }, outcome: { kind: 'ended', why: 'refused', error: { message: 'x' } } }],
      rest: { id: 'b-p', text: 'r' },
      next: { kind: 'again', afterMs: 5 },
    })
    expect(await give('..x')).toMatchObject({ kind: 'part', delivered: 2, rest: { text: '' } })
    expect(await give('xx')).toMatchObject({ kind: 'ended', why: 'refused', error: { message: 'x' } })
    expect(await give('rr')).toMatchObject({ kind: 'again', error: { message: 'r' } })
  })

  it('ends all that is left of a batch which is too old', async () => {
    const { give } = exporterTo(({ text }) => partly(text))
    expect(await give('.rx', 100)).toMatchObject({
      kind: 'part',
      delivered: 1,
      ended: [
        { batch: { text: 'x' }, outcome: { why: 'refused' } },
        { batch: { text: 'r' }, outcome: { why: 'failed' } },
      ],
      rest: { text: '' },
    })
  })

  it('halves what is too large, and ends what cannot be halved', async () => {
    const { give } = exporterTo(() => {
      throw new IntermixError('TOO_LARGE', 'too large')
    })
    expect(await give('abc')).toMatchObject({ kind: 'part', rest: { text: 'ab' }, more: [{ text: 'c' }] })
    expect(await give('a')).toMatchObject({ kind: 'ended', why: 'refused', error: { message: 'too large' } })
  })

  it('has the queue rest where the backend fails again and again, in order or not', async () => {
    const error = new IntermixError('BACKEND_FAILED', 'away')
    for (const ordered of [false, true]) {
      const { give, clock } = exporterTo(() => Promise.reject(error), { ordered })
      const outcomes = []
      for (let i = 0; i < 4; i++) {
        outcomes.push(await give('b'))
        await clock.advance(1)
      }
      const again = { kind: 'again', afterMs: 5, error }
      expect(outcomes).toEqual(
        ordered
          ? [5, 5, 750, 1500].map((afterMs) => ({ kind: 'hold', afterMs, error }))
          : [again, again, { ...again, pauseMs: 750 }, { ...again, pauseMs: 1500 }],
      )
    }
  })

  it('takes a refusal for a sign of life', async () => {
    let code: 'BACKEND_FAILED' | 'BACKEND_REFUSED' = 'BACKEND_FAILED'
    const { give, clock } = exporterTo(() => Promise.reject(new IntermixError(code, 'no')))
    for (let i = 0; i < 6; i++) {
      code = i % 3 === 2 ? 'BACKEND_REFUSED' : 'BACKEND_FAILED'
      expect(await give('b')).not.toHaveProperty('pauseMs')
      await clock.advance(1)
    }
  })
})
