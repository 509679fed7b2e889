import { describe, expect, it } from 'vitest'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { ObservedChecks } from '../../../src/rollout/follower/observed-checks.ts'
import { Masking } from '../../../src/rollout/masking.ts'
import { RecordedBags } from '../../../src/rollout/recorded-bags.ts'
import { StageCounters } from '../../../src/rollout/stage-counters.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { goodPolicy, refusingRule, startNode } from '../../policy/policy-node.ts'

async function observed(...documents: readonly string[]) {
  const clock = new FakeClock()
  const counters = new StageCounters(clock)
  const recorded = new RecordedBags({ clock, random: () => 0.5, masking: new Masking() })
  const checks = new ObservedChecks(counters, recorded)
  checks.isCounting = true
  counters.enter('', 'v1')
  return { node: await startNode(goodPolicy(...documents), true, checks), checks, counters, recorded }
}

const BROKEN = JSON.stringify({
  apiVersion: 'intermix.dev/v1',
  kind: 'rule',
  metadata: { name: 'broken' },
  spec: {
    match: 'request.path == "/broken"',
    failPolicy: 'open',
    actions: [
      {
        handler: { adapter: 'far', params: {} },
        instances: [{ template: 'listentry', params: { value: 'request.path' } }],
      },
    ],
  },
})

describe('checks that are observed', () => {
  it('are counted by what became of them, kept answers among them', async () => {
    const { node, counters } = await observed(refusingRule('admin', 'request.path == "/admin"'))
    for (const path of ['/admin', '/admin', '/', '/', '/']) await node.check({ 'request.path': path })
    expect(counters.counters()).toMatchObject({ checks: 5, errors: 0, unknowns: 0, denials: 2 })
    expect(Object.values(counters.counters().denialsBy)).toEqual([2])
  })

  it('are those of the namespaces that a stage is about', async () => {
    const { node, checks, counters } = await observed(refusingRule('admin', 'request.path == "/admin"'))
    checks.namespaces = new Set(['shop'])
    for (const namespace of ['shop', 'bank', 'shop'])
      await node.check({ 'request.path': '/admin', 'destination.namespace': namespace })
    await node.check({ 'request.path': '/admin' })
    expect(counters.counters()).toMatchObject({ checks: 2, denials: 2 })
    for (const namespace of ['shop', 'bank'])
      checks.failed(new Error('broken'), MapBag.of({ 'destination.namespace': namespace }))
    expect(counters.counters()).toMatchObject({ checks: 3, errors: 1 })
  })

  it('are errors where a candidate fails, although the stable version behind it cannot decide either', async () => {
    const odd = refusingRule('odd', 'int(request.headers["port"]) > 1', { failPolicy: 'open' })
    const { node, counters } = await observed(odd)
    await node.apply(goodPolicy(BROKEN), true)
    const broken = node.check({ 'request.path': '/broken', 'request.headers': new Map([['port', 'x']]) })
    await node.clock.advance(1_000)
    await broken
    expect(counters.counters()).toMatchObject({ checks: 1, errors: 1, unknowns: 0 })
  })

  it('are told apart by whether policy or a handler could not decide', async () => {
    const { node, counters } = await observed(refusingRule('port', 'int(request.headers["port"]) > 1'), BROKEN)
    await node.check({ 'request.headers': new Map([['port', 'x']]) })
    expect(counters.counters()).toMatchObject({ checks: 1, errors: 0, unknowns: 1, denials: 1 })
    // Its rule is open, so that it is allowed; it is an error all the same.
    const broken = node.check({ 'request.path': '/broken' })
    await node.clock.advance(1_000)
    const { answer } = await broken
    expect(answer.status.code).toBe(0)
    expect(counters.counters()).toMatchObject({ checks: 2, errors: 1, unknowns: 1, denials: 1 })
  })

  it('are not counted while no rollout is under way, and recorded all the same', async () => {
    const { node, checks, counters, recorded } = await observed(
      refusingRule('port', 'int(request.headers["port"]) > 1'),
    )
    checks.isCounting = false
    await node.check({ 'request.headers': new Map([['port', 'x']]) })
    expect(counters.counters()).toMatchObject({ checks: 0, unknowns: 0 })
    expect(recorded.size).toBe(1)
  })
})
