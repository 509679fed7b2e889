import { describe, expect, it } from 'vitest'
import { within } from '../../src/kernel/deadline.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { guardOnFakeClock, outcomeOf } from './guard-support.ts'

const down = () => new IntermixError('BACKEND_FAILED', 'down')
const givenUp = () => new IntermixError('CANCELLED', 'given up')
const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')))
  })
const never = () => new Promise<never>(() => undefined)

describe('a guarded call', () => {
  it('hands a plain value back at once', () => {
    const { guard, deadline, clock, metric } = guardOnFakeClock()
    expect(guard.run(() => 'answer', deadline())).toBe('answer')
    expect(clock.pending).toBe(0)
    expect(metric('handler_calls_total', 'h', 'ok')).toBe(1)
  })

  it('hands a promised value on and cleans up after it', async () => {
    const { guard, deadline, clock, later } = guardOnFakeClock()
    const answer = guard.run(() => later(50, 'answer'), deadline())
    await clock.advance(50)
    expect(await answer).toBe('answer')
    expect(clock.pending).toBe(0)
  })

  it('hands on what the adapter says by itself when the time is over, whose timer was set last', async () => {
    const { guard, deadline, clock } = guardOnFakeClock()
    const own = async (end: number) => {
      await Promise.resolve()
      return await within(clock, end - clock.monotonic(), never(), () => 'its own answer')
    }
    const answer = guard.run((call) => own(call.deadline), deadline())
    await clock.advance(1_000)
    expect(await answer).toBe('its own answer')
    expect(clock.pending).toBe(0)
  })

  it.each([
    ['an error', new Error('secret detail')],
    ['a string', 'secret detail'],
    ['nothing', undefined],
    ['an error meant for others', new IntermixError('INTERNAL', 'x')],
  ])('turns %s that is thrown at once into BACKEND_FAILED', (_name, thrown) => {
    const { guard, deadline } = guardOnFakeClock()
    const run = () =>
      guard.run(() => {
        throw thrown
      }, deadline())
    expect(run).toThrow(expect.objectContaining({ code: 'BACKEND_FAILED', cause: thrown }))
    expect(run).not.toThrow(/secret/)
  })

  it('survives thenables that throw, call back twice or lie about being promises', async () => {
    const { guard, deadline } = guardOnFakeClock()
    // oxlint-disable unicorn/no-thenable -- thenables are the point of this test
    const foreign = (then: unknown) => ({ then }) as unknown as Promise<string>
    const explode = foreign(() => {
      throw new Error('x')
    })
    const noRetry = { ...deadline(), retry: false }
    expect(await outcomeOf(() => guard.run(() => explode, noRetry))).toMatchObject({
      error: { code: 'BACKEND_FAILED' },
    })
    const twice = foreign((resolve: (value: string) => void, reject: (error: unknown) => void) => {
      resolve('first')
      reject(new Error('second'))
    })
    expect(await guard.run(() => twice, noRetry)).toBe('first')
    const trap = Object.defineProperty({}, 'then', {
      get: () => {
        throw new Error('trap')
      },
    }) as Promise<string>
    expect(await outcomeOf(() => guard.run(() => trap, noRetry))).toMatchObject({ error: { code: 'BACKEND_FAILED' } })
    // oxlint-enable unicorn/no-thenable
  })

  it("ends at the handler's timeout, aborts the signal and ignores the late answer", async () => {
    const { guard, deadline, clock, later, metric } = guardOnFakeClock({}, 100)
    let signal: AbortSignal | undefined
    const answer = outcomeOf(() =>
      guard.run((call) => {
        signal = call.signal
        return later(150, 'late')
      }, deadline()),
    )
    await clock.advance(99)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(await answer).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } })
    expect(signal?.aborted).toBe(true)
    await clock.advance(100)
    expect(metric('handler_calls_total', 'h', 'timeout')).toBe(1)
    expect(metric('handler_calls_total', 'h', 'ok')).toBe(0)
  })

  it("ends at the caller's deadline where that is earlier, and tells the adapter", async () => {
    const { guard, deadline, clock } = guardOnFakeClock()
    let told = 0
    const options = deadline(30)
    const answer = outcomeOf(() =>
      guard.run((call) => {
        told = call.deadline
        return never()
      }, options),
    )
    expect(told).toBe(options.deadline)
    await clock.advance(30)
    expect(await answer).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } })
  })

  it.each([0, -5, Number.NaN])('is not begun with %d ms left', async (ms) => {
    const { guard, deadline } = guardOnFakeClock()
    let begun = false
    const answer = outcomeOf(() => guard.run(() => (begun = true), deadline(ms)))
    expect(await answer).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } })
    expect(begun).toBe(false)
  })
})

describe('the retry', () => {
  it('mends one failure within the same call', async () => {
    const { guard, deadline, clock, metric } = guardOnFakeClock()
    let calls = 0
    const answer = guard.run(async () => {
      calls += 1
      if (calls === 1) throw down()
      return await Promise.resolve('second')
    }, deadline())
    await clock.advance(30)
    expect(await answer).toBe('second')
    expect(metric('handler_calls_total', 'h', 'ok')).toBe(1)
  })

  it.each([
    ['a refusal', new IntermixError('BACKEND_REFUSED', 'no'), {}],
    ['an overload', new IntermixError('OVERLOADED', 'busy'), {}],
    ["the adapter's own timeout", new IntermixError('DEADLINE_EXCEEDED', 'slow'), {}],
    ['a call that must not be repeated', down(), { retry: false }],
  ])('is not made after %s', async (_name, error, extra) => {
    const { guard, deadline, clock } = guardOnFakeClock()
    let calls = 0
    const answer = outcomeOf(() =>
      guard.run(
        () => {
          calls += 1
          return Promise.reject(error)
        },
        { ...deadline(), ...extra },
      ),
    )
    await clock.advance(100)
    expect(await answer).toMatchObject({ error: { code: error.code } })
    expect(calls).toBe(1)
  })

  it('is not made where the first attempt took most of the time', async () => {
    const { guard, deadline, clock, failLater } = guardOnFakeClock()
    let calls = 0
    const answer = outcomeOf(() =>
      guard.run(() => {
        calls += 1
        return failLater(60, down())
      }, deadline(100)),
    )
    await clock.advance(100)
    expect(await answer).toMatchObject({ error: { code: 'BACKEND_FAILED' } })
    expect(calls).toBe(1)
  })
})

describe('the breaker', () => {
  const fail = () => Promise.reject(down())

  async function broken() {
    const setting = guardOnFakeClock()
    for (let i = 0; i < 5; i++) await outcomeOf(() => setting.guard.run(fail, { ...setting.deadline(), retry: false }))
    return setting
  }

  it('opens after five failures in a row and calls nothing while it is open', async () => {
    const { guard, deadline, metric } = await broken()
    let called = false
    expect(guard.healthy()).toBe(false)
    expect(metric('handler_breaker_state', 'h')).toBe(2)
    expect(await outcomeOf(() => guard.run(() => (called = true), deadline()))).toMatchObject({
      error: { code: 'BACKEND_FAILED' },
    })
    expect(called).toBe(false)
  })

  it('lets one probe through after a while, which the others wait for, and closes when it succeeds', async () => {
    const { guard, deadline, clock, later, metric } = await broken()
    await clock.advance(750)
    expect(guard.healthy()).toBe(true)
    let calls = 0
    const probe = guard.run(() => later(10, 'well'), deadline())
    const second = guard.run(() => ++calls, deadline())
    await clock.advance(9)
    expect(calls).toBe(0)
    await clock.advance(1)
    expect(await probe).toBe('well')
    expect(await second).toBe(1)
    expect(metric('handler_breaker_state', 'h')).toBe(0)
    expect(guard.run(() => 'third', deadline())).toBe('third')
  })

  it('refuses those who waited for a probe that failed', async () => {
    const { guard, deadline, clock, metric } = await broken()
    await clock.advance(750)
    let calls = 0
    const probe = outcomeOf(() => guard.run(fail, { ...deadline(), retry: false }))
    const second = outcomeOf(() => guard.run(() => ++calls, deadline()))
    expect(await probe).toHaveProperty('error')
    expect(await second).toHaveProperty('error')
    expect(calls).toBe(0)
    expect(metric('handler_breaker_state', 'h')).not.toBe(0)
  })

  it('stays open longer after every failed probe, up to two seconds', async () => {
    const { guard, deadline, clock } = await broken()
    const waits: number[] = []
    for (let round = 0; round < 8; round++) {
      let waited = 0
      while (!guard.healthy()) {
        await clock.advance(250)
        waited += 250
      }
      waits.push(waited)
      await outcomeOf(() => guard.run(fail, { ...deadline(), retry: false }))
    }
    expect(waits).toEqual([500, 750, 1_500, 1_500, 1_500, 1_500, 1_500, 1_500])
  })

  it('does not let those probe who have waited for so long that a probe of theirs would tell nothing', async () => {
    const { guard, deadline, clock, failLater } = await broken()
    await clock.advance(750)
    const probe = outcomeOf(() => guard.run(() => failLater(400, givenUp()), deadline()))
    let called = false
    const waiting = outcomeOf(() => guard.run(() => (called = true), deadline(600)))
    await clock.advance(400)
    await probe
    expect(await waiting).toMatchObject({ error: { code: 'BACKEND_FAILED' } })
    expect(called).toBe(false)
  })

  it('is opened by calls that had to wait for a place and had little time left, where answers are usually quick', async () => {
    const { guard, deadline, clock, later } = guardOnFakeClock({ initialConcurrency: 2, maxConcurrency: 2 })
    for (let i = 0; i < 10; i++) {
      const answer = guard.run(() => later(2, 'quick'), deadline())
      await clock.advance(2)
      await answer
    }
    for (let i = 0; i < 20; i++) {
      void outcomeOf(() => guard.run(({ signal }) => hang(signal), deadline(60)))
      await clock.advance(20)
    }
    await clock.advance(60)
    expect(guard.healthy()).toBe(false)
  })

  it('lets the next caller probe when a probe was given up by the adapter', async () => {
    const { guard, deadline, clock, failLater } = await broken()
    await clock.advance(1_000)
    const probe = outcomeOf(() => guard.run(() => failLater(1, givenUp()), deadline()))
    await clock.advance(1)
    expect(await probe).toMatchObject({ error: { code: 'CANCELLED' } })
    expect(await guard.run(async () => await Promise.resolve('well'), deadline())).toBe('well')
  })

  it('does not listen to calls that began before it opened', async () => {
    const { guard, deadline, clock, later, failLater } = guardOnFakeClock()
    const early = [outcomeOf(() => guard.run(() => later(760, 'early'), deadline()))]
    for (let i = 0; i < 5; i++)
      early.push(outcomeOf(() => guard.run(() => failLater(1, down()), { ...deadline(), retry: false })))
    await clock.advance(751)
    const probe = outcomeOf(() => guard.run(never, deadline(500)))
    await clock.advance(20)
    await Promise.all(early)
    expect(guard.healthy()).toBe(false)
    await clock.advance(500)
    expect(await probe).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } })
  })

  it('does not open for refusals, calls given up by the adapter, hurried callers or errors thrown at once', async () => {
    const { guard, deadline, clock } = guardOnFakeClock()
    const refuse = () => Promise.reject(new IntermixError('BACKEND_REFUSED', 'no'))
    const explode = () => {
      throw new TypeError('x')
    }
    for (let i = 0; i < 10; i++) {
      await outcomeOf(() => guard.run(refuse, deadline()))
      await outcomeOf(() => guard.run(() => Promise.reject(givenUp()), deadline()))
      await outcomeOf(() => guard.run(explode, deadline()))
      const hurried = outcomeOf(() => guard.run(never, deadline(5)))
      await clock.advance(5)
      await hurried
    }
    expect(guard.healthy()).toBe(true)
  })

  it('is not opened by errors that the backend answers with: they are a sign of life', async () => {
    const { guard, deadline } = guardOnFakeClock()
    const error = () => Promise.reject(new IntermixError('BACKEND_FAILED', 'HTTP status 500', { backend: 'answered' }))
    for (let i = 0; i < 50; i++) await outcomeOf(() => guard.run(error, { ...deadline(), retry: false }))
    expect(guard.healthy()).toBe(true)
  })

  it('is not opened by calls that hang while others are answered', async () => {
    const { guard, deadline, clock, later } = guardOnFakeClock()
    for (let i = 0; i < 20; i++) {
      const hanging = Array.from({ length: 3 }, () => outcomeOf(() => guard.run(never, deadline(600))))
      await clock.advance(300)
      const answer = guard.run(() => later(10, 'fine'), deadline())
      await clock.advance(300)
      expect(await answer).toBe('fine')
      await Promise.all(hanging)
    }
    expect(guard.healthy()).toBe(true)
  })

  it('takes longer to open where single calls often got no answer', async () => {
    const { guard, deadline } = guardOnFakeClock()
    const ask = (call: () => Promise<unknown>) => outcomeOf(() => guard.run(call, { ...deadline(), retry: false }))
    for (let i = 0; i < 200; i++) await ask(i % 2 === 0 ? fail : async () => await Promise.resolve('fine'))
    for (let i = 0; i < 10; i++) await ask(fail)
    expect(guard.healthy()).toBe(true)
    for (let i = 0; i < 20; i++) await ask(fail)
    expect(guard.healthy()).toBe(false)
  })
})

describe('the bulkhead', () => {
  it('lets calls wait for a free place, in order, and refuses those beyond the queue', async () => {
    const { guard, deadline, clock, later } = guardOnFakeClock({
      initialConcurrency: 1,
      maxConcurrency: 1,
      maxQueue: 2,
    })
    const order: string[] = []
    const call = (name: string) => () => {
      order.push(name)
      return later(10, name)
    }
    const answers = ['a', 'b', 'c', 'd'].map((name) => outcomeOf(() => guard.run(call(name), deadline())))
    expect(order).toEqual(['a'])
    expect(await answers[3]).toMatchObject({ error: { code: 'OVERLOADED' } })
    await clock.advance(30)
    expect(await Promise.all(answers.slice(0, 3))).toEqual([{ value: 'a' }, { value: 'b' }, { value: 'c' }])
    expect(order).toEqual(['a', 'b', 'c'])
  })

  it('ends the waiting at the deadline', async () => {
    const { guard, deadline, clock } = guardOnFakeClock({ initialConcurrency: 1, maxConcurrency: 1 })
    const running = outcomeOf(() => guard.run(never, deadline()))
    const late = outcomeOf(() => guard.run(() => 'late', deadline(20)))
    await clock.advance(20)
    expect(await late).toMatchObject({ error: { code: 'OVERLOADED' } })
    await clock.advance(1_000)
    await running
    expect(clock.pending).toBe(0)
  })

  it('frees the place of a call once, however late its answer or its error comes', async () => {
    const { guard, deadline, clock, later, failLater } = guardOnFakeClock({ initialConcurrency: 1, maxConcurrency: 1 })
    for (const late of [() => failLater(50, down()), () => later(50, 'late')]) {
      const given = outcomeOf(() => guard.run(late, deadline(10)))
      await clock.advance(100)
      await given
    }
    const running = outcomeOf(() => guard.run(() => later(10, 'running'), deadline()))
    let isBegun = false
    const waiting = outcomeOf(() => guard.run(() => (isBegun = true), deadline()))
    expect(isBegun).toBe(false)
    await clock.advance(10)
    expect(await Promise.all([running, waiting])).toEqual([{ value: 'running' }, { value: true }])
  })

  it('bounds the calls that hang beyond their deadline', async () => {
    const { guard, deadline, clock, later } = guardOnFakeClock({ maxAbandoned: 3 })
    const slow = Array.from({ length: 3 }, () => outcomeOf(() => guard.run(() => later(500, 'x'), deadline(10))))
    await clock.advance(10)
    await Promise.all(slow)
    expect(await outcomeOf(() => guard.run(() => 1, deadline()))).toMatchObject({ error: { code: 'OVERLOADED' } })
    await clock.advance(500)
    expect(guard.run(() => 1, deadline())).toBe(1)
  })
})
