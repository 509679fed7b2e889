import { describe, expect, it } from 'vitest'
import { createCall, createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import denier from '../../src/adapters/denier/index.ts'

const env = createTestEnvironment()
const nothing = { name: 'n', template: 'checknothing', fields: {} }

describe('denier', () => {
  it("denies with Mixer's defaults", () => {
    const handler = denier.create(denier.config.parse({}), env)
    const expected = { status: { code: 9, message: '' }, validForMs: 5_000, validUses: 1_000 }
    expect(handler.check?.checknothing?.(nothing, createCall(env))).toEqual(expected)
    expect(handler.check?.listentry?.({ ...nothing, fields: {} }, createCall(env))).toEqual(expected)
  })

  it('denies with the status that is configured, by number or by name', () => {
    for (const code of [7, 'PERMISSION_DENIED']) {
      const params = { status: { code, message: 'closed' }, validDuration: '1m', validUseCount: 3 }
      const handler = denier.create(denier.config.parse(params), env)
      const expected = { status: { code: 7, message: 'closed' }, validForMs: 60_000, validUses: 3 }
      expect(handler.check?.checknothing?.(nothing, createCall(env))).toEqual(expected)
    }
  })

  it('grants no quota, and says so in the status', () => {
    const handler = denier.create(denier.config.parse({}), env)
    const request = { amount: 5, bestEffort: true, deduplicationId: 'd' }
    const result = handler.quota?.quota?.({ name: 'q', template: 'quota', fields: {} }, request, createCall(env))
    expect(result).toEqual({ status: { code: 9, message: '' }, granted: 0, validForMs: 5_000 })
  })

  it('refuses code OK, which would allow', () => {
    expect(denier.config.safeParse({ status: { code: 'OK' } }).error?.issues[0]?.message).toContain('would allow')
  })
})
