import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOutcome, QuotaGrant } from '../../src/kernel/services.ts'
import { normalTarget, NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { answerOf, RecordingCheck } from '../server/fixtures.ts'
import { ReadableMeter } from '../redis/support.ts'

function normalizing() {
  const inner = new RecordingCheck()
  const meter = new ReadableMeter()
  const check = new NormalizingCheck({ check: inner, allowed: new Set(), meter })
  const ask = async (path: string): Promise<CheckOutcome> =>
    await check.check(MapBag.of({ 'request.path': path }), {
      timeoutMs: 1_000,
      keepsAnswer: true,
      quotas: new Map([['q', DEMAND]]),
    })
  const paths = () => inner.asked.map(({ bag }) => bag.get('request.path'))
  return { inner, meter, ask, paths }
}

const DEMAND = { amount: 1, bestEffort: false }
const read = (name: string) => ({ name, key: undefined, condition: 'EXACT' as const, whole: false })

describe('NormalizingCheck', () => {
  it('hands a check on once, with its quotas, and the answer as it is', async () => {
    const { inner, ask, paths } = normalizing()
    const answer = answerOf({ referenced: [read('request.path')] })
    inner.decide = () => ({ answer, quotas: new Map() })
    expect((await ask('//a')).answer).toBe(answer)
    expect(paths()).toEqual(['/a'])
    expect(inner.asked[0]?.options.quotas?.size).toBe(1)
  })

  it.each([false, true])('asks about both readings of a path with dots (later: %s)', async (later) => {
    const { inner, ask, paths } = normalizing()
    inner.decide = () => {
      const outcome = { answer: answerOf(), quotas: new Map<string, QuotaGrant>() }
      return later ? Promise.resolve(outcome) : outcome
    }
    const { answer } = await ask('/admin/../open')
    expect(paths()).toEqual(['/admin/../open', '/open'])
    expect(inner.asked.map(({ options }) => options.charging)).toEqual(['none', undefined])
    expect(inner.asked.map(({ options }) => options.keepsAnswer)).toEqual([false, false])
    expect([answer.status.code, answer.validForMs, answer.validUses]).toEqual([0, 0, 0])
  })

  it('asks no further where one reading is denied', async () => {
    const { inner, ask, paths } = normalizing()
    inner.answer({ status: { code: 7, message: 'no' } })
    const { answer } = await ask('/admin/../open')
    expect([answer.status, answer.validForMs, answer.validUses]).toEqual([{ code: 7, message: 'no' }, 0, 0])
    expect(paths()).toEqual(['/admin/../open'])
  })

  it('refuses and counts what is ambiguous, and asks nothing', async () => {
    const { inner, meter, ask } = normalizing()
    await expect(ask('/%2f')).rejects.toMatchObject({ code: 'INVALID_REQUEST', reason: 'ambiguous' })
    expect(inner.asked).toEqual([])
    expect(meter.value('ambiguous_requests_total', 'encoded-slash')).toBe(1)
  })

  it('tells callers that answers and quotas depended on what they sent', async () => {
    const { inner, ask } = normalizing()
    const grant = {
      status: { code: 0, message: '' },
      granted: 1,
      validForMs: 1,
      referenced: [read('request.raw_path')],
    }
    const other = { ...grant, referenced: [read('source.name')] }
    const answer = answerOf({ referenced: [read('request.path'), read('request.raw_path'), read('source.name')] })
    inner.decide = () => ({
      answer,
      quotas: new Map([
        ['q', grant],
        ['r', other],
      ]),
    })
    const outcome = await ask('/a')
    expect(outcome.answer.referenced).toEqual([read('request.path'), read('source.name')])
    expect(outcome.quotas.get('q')?.referenced).toEqual([read('request.path')])
    expect(outcome.quotas.get('r')).toBe(other)
  })
})

describe('normalTarget', () => {
  const attribute = (name: string, value: string, key?: string) => ({ kind: 'attribute' as const, name, key, value })
  const none = new Set<never>()

  it.each([
    [attribute('request.path', '//%61dmin'), '/admin'],
    [attribute('request.url_path', '/x/../admin'), '/admin'],
    [attribute('request.host', 'Private.example:80'), 'private.example'],
    [attribute('request.headers', 'Private.example.', 'Host'), 'private.example'],
    [attribute('request.headers', 'Eve', 'x-user'), 'Eve'],
    [attribute('source.name', '//a'), '//a'],
    [attribute('request.raw_path', '//a'), '//a'],
  ])('takes %j for what verdicts depended on: %s', (target, value) => {
    expect(normalTarget(target, none)).toEqual({ ...target, value })
  })

  it('leaves other revocations alone, and refuses a value that no check can have', () => {
    const all = { kind: 'all' as const }
    expect(normalTarget(all, none)).toBe(all)
    expect(() => normalTarget(attribute('request.path', '/a%2fb'), none)).toThrow('an escaped slash')
  })
})
