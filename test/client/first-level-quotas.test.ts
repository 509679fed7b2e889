// Quotas that are named along with checks whose answers are kept.

import { beforeEach, describe, expect, it } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { attributePath } from '../../src/client/affinity.ts'
import { FirstLevelCheck } from '../../src/client/first-level-check.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import { OK_STATUS } from '../../src/kernel/status.ts'
import { FakeClock } from '../helpers/clock.ts'
import { ReadableMeter } from '../redis/support.ts'
import { ScriptedNodes, shapeBy } from './scripted-nodes.ts'

let clock: FakeClock
let nodes: ScriptedNodes
let checks: FirstLevelCheck

const quotas = new Map([['requests', { amount: 1, bestEffort: false }]])

beforeEach(() => {
  clock = new FakeClock()
  nodes = new ScriptedNodes()
  nodes.script = ({ quotas: demands = new Map() }) => ({
    grants: new Map(
      [...demands].map(([name, { amount }]) => [
        name,
        { status: OK_STATUS, granted: amount, validForMs: 1_000, shape: shapeBy('a', { scope: name }) },
      ]),
    ),
  })
  const choice = { affinity: [attributePath('a')], tenant: undefined }
  const bounds = { maxEntries: 100, maxBytes: 1_000_000, refreshesPerSecond: 10 }
  const [revocations, meter] = [new Revocations(), new ReadableMeter()]
  checks = new FirstLevelCheck({ nodes, revocations, clock, random: () => 0.5, meter, choice, ...bounds })
})

function check(a: string, options: Partial<CheckOptions> = {}): CheckOutcome | Promise<CheckOutcome> {
  return checks.check(MapBag.of({ a }), { timeoutMs: 1_000, charging: 'named', quotas, ...options })
}

describe('quotas that are named with a check', () => {
  it('are not asked for where the answer denies', async () => {
    nodes.script = () => ({ answer: { status: { code: 7, message: 'no' } } })
    await check('x')
    expect((await check('x')).quotas.size).toBe(0)
    expect(nodes.asked).toHaveLength(1)
  })

  it('fail as the node does where there are none', async () => {
    await check('x')
    nodes.script = () => new IntermixError('BACKEND_FAILED', 'no node is there')
    await expect(check('x')).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
  })

  it('are not taken for granted where the node refuses what it is asked for what it is', async () => {
    await check('x')
    nodes.script = () => ({ answer: { status: { code: 3, message: 'too large' }, validForMs: 0 }, shape: undefined })
    await expect(check('x')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    nodes.known = undefined
    const charged = checks.charge(MapBag.of({ a: 'x' }), quotas, { timeoutMs: 1_000 })
    await expect(charged).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('are refused where the node says nothing of them', async () => {
    nodes.script = () => ({})
    await check('x')
    const { quotas: granted } = await check('x')
    expect(granted.get('requests')).toMatchObject({ granted: 0, status: { code: 13 } })
  })

  it('are charged once for a request that is tried again when its answer is not known any more', async () => {
    await check('x')
    const retried = { deduplicationId: 'id' }
    await check('x', retried)
    await clock.advance(20_000)
    const { quotas: granted } = await check('x', retried)
    expect(granted.get('requests')?.granted).toBe(1)
    expect(nodes.asked.at(-1)?.quotas?.size).toBe(0)
  })

  it('are granted to nobody who is denied now, whatever was before', async () => {
    await check('x', { deduplicationId: 'id' })
    await clock.advance(20_000)
    nodes.script = () => ({ answer: { status: { code: 7, message: 'no' } } })
    expect((await check('x', { deduplicationId: 'id' })).quotas.size).toBe(0)
  })

  it('are asked for again where the first try fails meanwhile', async () => {
    await check('x')
    const answers = nodes.script
    nodes.script = () => new IntermixError('BACKEND_FAILED', 'no node is there')
    const first = check('x', { deduplicationId: 'id' })
    nodes.script = answers
    // Of another answer, which is not known: its check waits for what becomes of the first try.
    const second = check('y', { deduplicationId: 'id' })
    await expect(first).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    expect((await second).quotas.get('requests')).toMatchObject({ granted: 1 })
  })
})
