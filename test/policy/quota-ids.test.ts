// Deduplication ids are whatever callers make them: long ones do their work and are not kept.

import { afterEach, describe, expect, it } from 'vitest'
import { usedHeap } from '../helpers/used-heap.ts'
import { document, goodPolicy, type PolicyNode, startPolicy } from './policy-node.ts'

const LIMIT = { name: 'calls.instance.istio-system', maxAmount: 1_000_000, validDuration: '60s' }
const QUOTA = [
  { kind: 'handler', name: 'counter', spec: { compiledAdapter: 'memquota', params: { quotas: [LIMIT] } } },
  { kind: 'instance', name: 'calls', spec: { compiledTemplate: 'quota', params: { dimensions: {} } } },
  { kind: 'rule', name: 'limit', spec: { actions: [{ handler: 'counter', instances: ['calls'] }] } },
]

let node: PolicyNode | undefined

afterEach(async () => {
  await node?.stop()
})

async function charge(deduplicationId: string, amount = 1): Promise<number | undefined> {
  const quotas = new Map([['calls', { amount, bestEffort: true }]])
  const outcome = await node?.check({}, { quotas, deduplicationId })
  return outcome?.quotas.get('calls')?.granted
}

describe('a deduplication id', () => {
  it('of any length stands for one call', async () => {
    node = await startPolicy(goodPolicy(...QUOTA.map(document)))
    const long = 'x'.repeat(100_000)
    expect(await charge(`${long}a`, 999_999)).toBe(999_999)
    expect(await charge(`${long}a`, 999_999)).toBe(999_999)
    expect(await charge(`${long}b`, 5)).toBe(1)
  })

  it('is not kept at any length', async () => {
    node = await startPolicy(goodPolicy(...QUOTA.map(document)))
    await charge('first')
    const before = usedHeap()
    for (let i = 0; i < 200; i++) await charge(Buffer.alloc(1_000_000, `id ${i}`).toString())
    expect(usedHeap() - before).toBeLessThan(20_000_000)
  })
})
