import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { CheckResult } from '../../../src/client/library/check-result.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { RefusedRequest } from '../../../src/kernel/refused-request.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { answerOf } from '../../server/fixtures.ts'
import { testClient } from './support.ts'

const DENIED = { code: 7, message: 'no' }
const OUTCOME = { answer: answerOf(), quotas: new Map() }

describe('a client', () => {
  it('returns an answer that is at hand without a promise', () => {
    const { client, check } = testClient()
    check.answer({ status: DENIED, tier: 'local', ageMs: 5, deniedBy: { rule: 'r', handler: 'h' } })
    const result = client.check({ 'request.path': '/a', 'destination.port': 80 })
    expect(result).toBeInstanceOf(CheckResult)
    expect(result).toMatchObject({ allowed: false, status: DENIED, tier: 'local', ageMs: 5 })
    expect((result as CheckResult).denial()).toMatchObject({ httpStatus: 403, body: 'no' })
    expect(JSON.parse(JSON.stringify(result))).toMatchObject({ allowed: false, status: DENIED, requestHeaders: [] })
    expect(inspect(result)).toContain('allowed: false')
    expect(check.lastBag.get('destination.port')).toBe(80n)
    expect(check.asked[0]?.options).toEqual({ timeoutMs: 1_000, references: false })
  })

  it('resolves with one that is asked for, about the request as it was', async () => {
    const { client, check } = testClient()
    const { promise, resolve } = Promise.withResolvers<typeof OUTCOME>()
    check.decide = () => promise
    const attributes = { 'request.path': '/a' }
    const pending = client.check(attributes, {
      timeoutMs: 5,
      charging: 'named',
      quotas: { q: 2 },
      deduplicationId: 'd',
    })
    attributes['request.path'] = '/b'
    expect(check.lastBag.get('request.path')).toBe('/a')
    expect(check.asked[0]?.options).toEqual({
      timeoutMs: 5,
      references: false,
      charging: 'named',
      deduplicationId: 'd',
      quotas: new Map([['q', { amount: 2, bestEffort: false }]]),
    })
    resolve(OUTCOME)
    expect((await pending).allowed).toBe(true)
  })

  it('takes bags as they are, and what makes one', async () => {
    const { client, check } = testClient()
    const bag = MapBag.of({ 'request.path': '/a' })
    await client.check(bag)
    expect(check.lastBag).toBe(bag)
    await client.check((vocabulary) => MapBag.of({ known: vocabulary.has('request.path') }))
    expect(check.lastBag.get('known')).toBe(true)
  })

  it('denies what is refused for what it is, and throws what nobody could say', async () => {
    const { client, check } = testClient()
    const refuse = () => {
      throw new RefusedRequest('ambiguous', 'two readings')
    }
    check.decide = refuse
    expect(await client.check({})).toMatchObject({ allowed: false, status: { code: 3, message: 'two readings' } })
    check.decide = async () => refuse()
    expect(await client.check({})).toMatchObject({ allowed: false, status: { code: 3 } })
    check.decide = async () => {
      throw new IntermixError('OVERLOADED', 'too much')
    }
    await expect(client.check({})).rejects.toMatchObject({ code: 'OVERLOADED', retryable: true })
    await expect(client.check({ 'request.path': '\ud800' })).rejects.toMatchObject({ code: 'INVALID_ATTRIBUTE' })
    check.decide = (bag) => (bag.get('destination.port'), OUTCOME)
    expect(() => client.check({ 'destination.port': 'http' })).toThrow(/destination.port must be a whole number/)
  })

  it('waits for the first config within the time of a check, and reads what was given then', async () => {
    const clock = new FakeClock()
    const { client, check, records } = testClient({ clock })
    check.isReady = false
    const attributes = { 'destination.port': 80 }
    const pending = client.check(attributes, { timeoutMs: 500 })
    const late = client.check({}, { timeoutMs: 50 }) as Promise<CheckResult>
    const refused = expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    client.report({ ...attributes, 'request.path': '/r' })
    attributes['destination.port'] = 81
    await clock.advance(100)
    await refused
    expect([check.asked.length, records.length]).toEqual([0, 0])
    check.isReady = true
    await clock.advance(20)
    expect((await pending).allowed).toBe(true)
    expect(check.lastBag.get('destination.port')).toBe(80n)
    expect(check.asked[0]?.options.timeoutMs).toBeLessThanOrEqual(400)
    expect(records[0]?.get('destination.port')).toBe(80n)
    await client.ready()
    expect(clock.pending).toBe(0)
  })

  it('keeps some records until it knows how to read them, and counts what it drops', async () => {
    const clock = new FakeClock()
    const { client, check, records, warnings, state } = testClient({ clock })
    check.isReady = false
    for (let i = 0; i < 1_010; i++) client.report({ 'response.code': i })
    check.isReady = true
    client.report({ 'response.code': 2_000 })
    expect(state.dropped).toBe(10)
    expect(records.map((record) => Number(record.get('response.code')))).toEqual([
      ...Array.from({ length: 1_000 }, (_, i) => i + 10),
      2_000,
    ])
    await clock.advance(20)
    check.isReady = false
    client.report({ 'response.code': 'ok' })
    client.report((vocabulary) => {
      throw new Error(`cannot be made of ${vocabulary.size}`)
    })
    check.isReady = true
    await clock.advance(20)
    expect([state.dropped, warnings.length]).toEqual([12, 2])
    await client.close()
  })

  it('charges a quota without a check', async () => {
    const { client, check } = testClient()
    const grant = await client.quota('q', 3, { 'request.path': '/a' }, { bestEffort: true, deduplicationId: 'd' })
    expect(grant).toMatchObject({ granted: 3, validForMs: 5 })
    const [bag, demands, options] = check.charged[0] ?? []
    expect(bag?.get('request.path')).toBe('/a')
    expect(demands).toEqual(new Map([['q', { amount: 3, bestEffort: true }]]))
    expect(options).toMatchObject({ deduplicationId: 'd', references: false })
    await expect(client.quota('q', 1, { 'destination.port': 'x' })).rejects.toMatchObject({ code: 'INVALID_ATTRIBUTE' })
  })

  it('hands over its records when it is closed, and does nothing more', async () => {
    const { client, check, records, state } = testClient()
    client.report({ 'response.code': 200 })
    expect(records).toHaveLength(1)
    await client.close({ timeoutMs: 7 })
    await client.close()
    expect(state).toEqual({ closedWithin: 7, dropped: 0 })
    expect(() => client.check({})).toThrow(expect.objectContaining({ code: 'CANCELLED' }))
    expect(() => client.report({})).toThrow(expect.objectContaining({ code: 'CANCELLED' }))
    await expect(client.quota('q', 1, {})).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(check.asked).toHaveLength(0)
  })
})
