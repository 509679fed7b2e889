import { describe, expect, it } from 'vitest'
import { createExporter } from '../../../src/adapter-kit/exporter/exporter.ts'
import type { Push } from '../../../src/adapter-kit/exporter/timeout.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { FakeClock } from '../../helpers/clock.ts'

function exporterTo(push: Push<string>) {
  const clock = new FakeClock()
  const seen: string[] = []
  const observer = {
    delivered: () => void seen.push('delivered'),
    failed: (error: unknown) => void seen.push((error as Error).message),
  }
  const retries = { firstDelayMs: 10, maxDelayMs: 1000, maxAgeMs: 100 }
  const consume = createExporter(push, { clock, random: () => 0.5, timeoutMs: 50, name: 'backend', retries, observer })
  const give = (batch: string, ageMs = 0) => consume(batch, { before: 0, ageMs, takenOver: false })
  return { clock, seen, give }
}

describe('the exporter chain', () => {
  it('gives the adapter the batch and its deadline, and sees that it was delivered', async () => {
    const calls: unknown[] = []
    const { give, seen } = exporterTo((batch, { deadline, signal }) => {
      calls.push([batch, deadline, signal.aborted])
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
})
