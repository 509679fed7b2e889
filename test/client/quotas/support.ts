// What tests of pools are made of.

import { MIXER_PREFETCH, type PrefetchOptions } from '../../../src/client/quotas/prefetch-options.ts'
import { QuotaPools, type QuotaPoolsOptions } from '../../../src/client/quotas/quota-pools.ts'
import { createQuotaPoolMetrics } from '../../../src/client/quotas/quota-pool-metrics.ts'
import type { QuotaCall } from '../../../src/client/quotas/quota-pool.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { ReadableMeter } from '../../redis/support.ts'
import { type Bucket, GrantingNodes } from './granting-nodes.ts'

export const PLENTY: Bucket = { rate: 1_000, burst: 1_000, validForMs: 10_000 }

/** Mixer's constants, and so much at most before it is granted. */
export const bounded = (maxOptimistic: number): PrefetchOptions => ({ ...MIXER_PREFETCH, maxOptimistic })

export interface Stage {
  readonly clock: FakeClock
  readonly nodes: GrantingNodes
  readonly pools: QuotaPools
  readonly meter: ReadableMeter
}

export function createStage(bucket: Bucket = PLENTY, options: Partial<QuotaPoolsOptions> = {}): Stage {
  const clock = new FakeClock()
  const nodes = new GrantingNodes(clock, bucket)
  const meter = new ReadableMeter()
  const metrics = createQuotaPoolMetrics(meter)
  return { clock, nodes, meter, pools: new QuotaPools({ nodes, clock, random: () => 0.5, metrics, ...options }) }
}

export function call(user: string, amount = 1, more: Partial<QuotaCall> & { bestEffort?: boolean } = {}): QuotaCall {
  const { bestEffort = false, ...rest } = more
  const bag = new MapBag(new Map([['source.user', user]]))
  const demands = new Map([['requests', { amount, bestEffort }]])
  return { config: 'c1', bag, seen: bag, affinity: user, tenant: '', demands, timeoutMs: 1_000, ...rest }
}

/** What is granted; a failure is its code. */
export async function charge({ pools, clock }: Stage, wanted: QuotaCall): Promise<number | string> {
  try {
    return (await pools.charge(wanted, clock.monotonic())).get('requests')?.granted ?? -1
  } catch (error) {
    return (error as { code: string }).code
  }
}
