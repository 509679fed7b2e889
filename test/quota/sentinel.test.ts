// A master that dies under charges: limits go on by the share of each node, and what was granted is charged to the next one.

import { expect, it, onTestFinished } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { systemClock as clock } from '../../src/kernel/system-clock.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { startSentinel } from '../helpers/redis-sentinel.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { KeptLog, ReadableMeter, testLink, untilUp } from '../redis/support.ts'

const MOST = 100_000
const RULES = {
  window: { algorithm: 'fixedWindow', amount: MOST, windowMs: 365 * 86_400_000, from: 'epoch' },
  held: { algorithm: 'allocation', amount: MOST, expiryMs: 3_600_000 },
} as const satisfies Record<string, LimitRule>

it.skipIf(toolOrSkip('redis-server') === undefined)(
  'a failover refuses nobody who has a share, loses no charge, and leaves no key without an end',
  async () => {
    const setup = await startSentinel({ replicas: 1 })
    onTestFinished(() => setup.stop())
    const { link } = testLink(setup.url, 1_000)
    onTestFinished(() => link.close())
    await untilUp(link)
    const meter = new ReadableMeter()
    const limits = new NodeLimits({
      shared: new RedisLimits({ link, clock, prefix: 'failover:' }),
      link,
      clock,
      log: new KeptLog(),
      metrics: new QuotaMetrics(meter, 'h'),
      processes: { count: 2, note: () => undefined },
    })
    onTestFinished(() => limits.close())
    const granted = { window: 0, held: 0 }
    const charge = async (amount: number, key: keyof typeof RULES) => {
      const options = { mode: 'all', deadline: clock.monotonic() + 10_000 } as const
      const [outcome] = await limits.charge([{ key, rule: RULES[key], amount }], options)
      granted[key] += outcome?.granted ?? 0
      return outcome
    }
    for (const key of ['window', 'held'] as const) expect((await charge(10, key))?.granted).toBe(10)
    await link.run((client) => client.wait(1, 1_000))

    const old = await setup.master()
    await setup.kill(old)
    const refused: string[] = []
    const meanwhile = async () => {
      for (const key of ['window', 'held'] as const) if ((await charge(1, key))?.granted !== 1) refused.push(key)
    }
    await meanwhile()
    await setup.untilPromoted(old, { meanwhile })
    expect(refused).toEqual([])
    expect(meter.value('quota_charges_total', 'h', 'granted', 'share')).toBeGreaterThan(0)

    for (const key of ['window', 'held'] as const)
      await expect
        .poll(async () => (await charge(0, key))?.left, { timeout: 30_000, interval: 100 })
        .toBe(MOST - granted[key])
    const server = await setup.master()
    const keys = (await setup.ask(server, 'KEYS', 'failover:*')) as string[]
    expect(keys.length).toBeGreaterThan(1)
    for (const key of keys) expect(Number(await setup.ask(server, 'PTTL', key)), key).toBeGreaterThan(0)
  },
)
