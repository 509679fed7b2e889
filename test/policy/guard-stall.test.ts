// A process that stands still must not take that for a fault of its backends: timers fire before sockets are read.
import { afterEach, describe, expect, it } from 'vitest'
import { fetchText } from '../../src/adapter-kit/fetch-text.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { type HeldBackend, standStill, startHeldBackend } from '../helpers/held-backend.ts'
import { guardOnFakeClock, guardWith, outcomeOf } from './guard-support.ts'

const CALLS = 10

let backend: HeldBackend | undefined
afterEach(async () => {
  await backend?.close()
})

/** Calls a real backend through a guard that allows 1 s; all requests have arrived when this resolves. */
async function inFlight() {
  const held = await startHeldBackend()
  backend = held
  const setting = guardWith(systemClock, {}, 1_000)
  const call = () =>
    outcomeOf(() =>
      setting.guard.run(
        ({ signal }) => fetchText({ fetch, clock: systemClock, url: held.url, maxBytes: 1_000, signal }),
        setting.deadline(),
      ),
    )
  held.release()
  await Promise.all(Array.from({ length: CALLS }, call))
  held.hold()
  const outcomes = Array.from({ length: CALLS }, call)
  while (held.arrived < 2 * CALLS) await new Promise((resolve) => setImmediate(resolve))
  return { ...setting, held, outcomes }
}

describe('a process that stands still', () => {
  it('takes the answers that came meanwhile, and holds nothing against the backend', async () => {
    const { held, outcomes, guard, metric } = await inFlight()
    held.release()
    standStill(1_100, () => held.answered === 2 * CALLS)
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ value: { status: 200 } })
    expect(guard.healthy()).toBe(true)
    expect(metric('handler_calls_total', 'h', 'ok')).toBe(2 * CALLS)
    expect(metric('handler_concurrency_limit', 'h')).toBeGreaterThanOrEqual(20)
  })

  it('does not count answers that it could not wait for', async () => {
    const { outcomes, guard, metric } = await inFlight()
    standStill(1_100)
    for (const outcome of await Promise.all(outcomes)) {
      expect(outcome).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED', backend: 'unheard' } })
    }
    expect(guard.healthy()).toBe(true)
    expect(metric('handler_calls_total', 'h', 'stalled')).toBe(CALLS)
    expect(metric('handler_concurrency_limit', 'h')).toBeGreaterThanOrEqual(20)
  })
})

describe('a stall on a clock', () => {
  const never = () => new Promise<never>(() => undefined)

  it.each([
    { stallMs: 90, heard: 'timeout', isHealthy: false },
    { stallMs: 150, heard: 'stalled', isHealthy: true },
  ])('of $stallMs ms of a timeout of 200 ms ends calls as $heard', async ({ stallMs, heard, isHealthy }) => {
    const { guard, clock, deadline, metric } = guardOnFakeClock({}, 200)
    const outcomes = Array.from({ length: 6 }, () => outcomeOf(() => guard.run(never, deadline())))
    await clock.advance(20)
    clock.stall(stallMs)
    await clock.advance(200)
    await Promise.all(outcomes)
    expect(metric('handler_calls_total', 'h', heard)).toBe(6)
    expect(guard.healthy()).toBe(isHealthy)
  })

  it("is left out of what is learnt of the backend's latency", async () => {
    const { guard, clock, deadline, metric, later } = guardOnFakeClock()
    for (let round = 0; round < 50; round++) {
      const answers = Array.from({ length: 12 }, async () => guard.run(() => later(5, 'x'), deadline()))
      if (round >= 20) clock.stall(300)
      await clock.advance(5)
      await Promise.all(answers)
    }
    expect(metric('handler_concurrency_limit', 'h')).toBeGreaterThanOrEqual(20)
  })

  it('that an adapter noticed by a timer of its own counts no more than that', async () => {
    const { guard, clock, deadline, failLater } = guardOnFakeClock({}, 200)
    const ownTimeout = () => failLater(100, new IntermixError('DEADLINE_EXCEEDED', 'the adapter gave up'))
    const outcomes = Array.from({ length: 6 }, () => outcomeOf(() => guard.run(ownTimeout, deadline())))
    clock.stall(150)
    await clock.advance(0)
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ error: { backend: 'unheard' } })
    expect(guard.healthy()).toBe(true)
  })
})
