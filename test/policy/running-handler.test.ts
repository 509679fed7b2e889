import { describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { RunningHandler } from '../../src/policy/running-handler.ts'
import { handlerConfig } from '../cache/support.ts'
import { guardOnFakeClock, outcomeOf } from './guard-support.ts'

const OK = { code: 0, message: '' }
const instanceOf = (template: string): Instance => ({ name: 'i.instance.test', template, fields: {} })
const nonsense = (what: RegExp) => ({
  error: expect.objectContaining({ code: 'BACKEND_FAILED', message: expect.stringMatching(what) }) as unknown,
})

/** A handler whose adapter's code answers whatever a test wants. */
function running(code: unknown) {
  const { guard, deadline, clock } = guardOnFakeClock()
  return { handler: new RunningHandler(handlerConfig(), code as Handler, guard), at: deadline().deadline, clock }
}

/** Runs a call whose retry, if there is one, waits on the clock. */
async function settled(clock: { advance(ms: number): Promise<void> }, run: () => unknown) {
  const outcome = outcomeOf(run)
  await clock.advance(100)
  return await outcome
}

describe('the answer to a check', () => {
  const answering = (answer: unknown) => running({ check: { listentry: () => answer } })

  it('is a verdict with its defaults', () => {
    const { handler, at } = answering({ status: OK })
    expect(handler.fetch(instanceOf('listentry'), at)).toMatchObject({ kind: 'allow', validForMs: 60_000 })
  })

  it('is valid for a day and for as many uses as Mixer can tell, whatever the backend says', () => {
    const { handler, at } = answering({ status: OK, validForMs: 1e300, validUses: 1e308 })
    expect(handler.fetch(instanceOf('listentry'), at)).toMatchObject({ validForMs: 86_400_000, validUses: 2 ** 31 - 1 })
  })

  it.each([
    ['nothing', undefined, /status/],
    ['a code out of range', { status: { code: 99, message: '' } }, /status\.code/],
    ['a negative validity', { status: OK, validForMs: -1 }, /validForMs/],
    ['a validity that is no number', { status: OK, validForMs: Number.NaN }, /validForMs/],
    ['a validity without an end', { status: OK, validForMs: Number.POSITIVE_INFINITY }, /validForMs/],
    ['negative uses', { status: OK, validUses: -1 }, /validUses/],
    ['a boolean', true, /object/],
  ])('is no verdict where it is %s, at once or promised', async (_name, answer, what) => {
    for (const given of [answer, Promise.resolve(answer)]) {
      const { handler, at, clock } = answering(given)
      expect(await settled(clock, () => handler.fetch(instanceOf('listentry'), at))).toEqual(nonsense(what))
    }
  })

  it('makes a backend that keeps answering nonsense one that is asked less', async () => {
    const { handler, at, clock } = answering(Promise.resolve({ status: 'fine' }))
    const messages: string[] = []
    for (let i = 0; i < 40; i++) {
      const asked = Array.from({ length: 10 }, () => outcomeOf(() => handler.fetch(instanceOf('listentry'), at)))
      await clock.advance(50)
      for (const outcome of await Promise.all(asked)) messages.push(String((outcome as { error: unknown }).error))
    }
    expect(messages.filter((message) => message.includes('is asked less')).length).toBeGreaterThan(50)
  })
})

describe('the answer to a quota', () => {
  const ask = async (answer: unknown, request: { amount: number; bestEffort?: boolean; deduplicationId?: string }) => {
    let calls = 0
    const quota = () => {
      calls++
      return Promise.resolve(answer)
    }
    const { handler, at, clock } = running({ quota: { quota } })
    const full = { bestEffort: false, deduplicationId: '', ...request }
    const outcome = await settled(clock, () => handler.quota(instanceOf('quota'), full, at))
    return { ...outcome, calls: () => calls }
  }

  it('is handed on where it makes sense', async () => {
    const granted = { status: OK, granted: 5, validForMs: 1_000 }
    expect(await ask(granted, { amount: 5 })).toMatchObject({ value: granted })
    expect(await ask({ ...granted, granted: 3 }, { amount: 5, bestEffort: true })).toHaveProperty('value')
  })

  it.each([
    ['nothing', undefined, /object/],
    ['more than was asked for', { status: OK, granted: 6, validForMs: 0 }, /from 0 to 5, it is 6/],
    ['a part of all or nothing', { status: OK, granted: 3, validForMs: 0 }, /all or nothing/],
    ['no number', { status: OK, granted: Number.NaN, validForMs: 0 }, /finite/],
    ['without a status', { granted: 5, validForMs: 0 }, /status/],
  ])('is an error where it grants %s', async (_name, answer, what) => {
    expect(await ask(answer, { amount: 5 })).toMatchObject(nonsense(what))
  })

  it('is asked for again after a failure only where the request can be recognised', async () => {
    expect((await ask({}, { amount: 5 })).calls()).toBe(1)
    expect((await ask({}, { amount: 5, deduplicationId: 'd1' })).calls()).toBe(2)
  })
})

describe('what an attribute generator gives', () => {
  const generate = async (output: unknown) => {
    const { handler, at, clock } = running({ attributes: { kubernetes: () => Promise.resolve(output) } })
    return await settled(clock, () => handler.generate(instanceOf('kubernetes'), at))
  }

  it('is handed on where all fields are of their types', async () => {
    const labels = new Map([['app', 'a']])
    const output = { sourcePodName: 'p1', sourceLabels: labels, sourcePodIp: Uint8Array.of(10, 0, 0, 1) }
    expect(await generate(output)).toEqual({ value: output })
  })

  it.each([
    ['an unknown field', { podName: 'p1' }, /"podName" is no output field of kubernetes/],
    ['a field of another type', { sourcePodName: 5n }, /"sourcePodName" must be STRING/],
    ['no object', 'p1', /object/],
  ])('is an error where it is %s', async (_name, output, what) => {
    expect(await generate(output)).toEqual(nonsense(what))
  })
})
