// What proxies are told, one node at a time.

import { describe, expect, it } from 'vitest'
import type { Limits } from '../../../src/adapter-kit/limits.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import type { Claims } from '../../../src/quota/assignments/claims.ts'
import { MemoryLimits } from '../../../src/quota/memory-limits.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { domainsOf } from '../descriptors/domains.ts'
import { AssigningNode, config, type NodeParts, Pending, SimulatedProxy } from './proxies.ts'

const minute = (limit: number) => `[{key: key, rate_limit: {unit: minute, requests_per_unit: ${limit}}}]`

function nodeOf(text: string, parts: NodeParts = {}) {
  const clock = new FakeClock(Date.UTC(2026, 0, 15, 12))
  const pending = new Pending()
  const node = new AssigningNode(text, clock, pending, parts)
  /** A second goes by, and all of them report. */
  const second = async (...proxies: readonly SimulatedProxy[]) => {
    await clock.advance(1_000)
    for (const proxy of proxies) proxy.report()
    await pending.settled()
  }
  const ask = async (proxy: SimulatedProxy, times: number, ...bucket: readonly string[]) => {
    let passed = 0
    for (let each = 0; each < times; each++) {
      if (proxy.request(...bucket)) passed++
      await pending.settled()
    }
    return passed
  }
  return { node, clock, pending, second, ask }
}

describe('a bucket', () => {
  it('is limited by the descriptor that has all of its pairs, whatever their order', async () => {
    const { node, ask } = nodeOf(
      config(
        '[{key: path, value: /a, descriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 3}}]},' +
          ' {key: user, rate_limit: {unit: minute, requests_per_unit: 5}}]',
      ),
    )
    const proxy = new SimulatedProxy(node)
    expect(await ask(proxy, 8, 'user=u', 'path=/a')).toBe(3)
    expect(await ask(proxy, 8, 'user=u')).toBe(5)
    // What no limit is configured for passes, once that is known.
    expect(await ask(proxy, 8, 'path=/a')).toBe(7)
    expect(await ask(proxy, 8, 'user=u', 'path=/b')).toBe(7)
    expect(await ask(proxy, 8, 'user=u', 'path=/a', 'more=1')).toBe(7)
    expect(proxy.last).toEqual({ kind: 'allow' })
    expect(node.meter.value('rate_limit_hits_total', 'd', 'user', 'within')).toBe(0)
  })

  it('counts with the descriptors that other doors are asked for', async () => {
    const limits = new MemoryLimits({ clock: new FakeClock() })
    const { node, second, ask } = nodeOf(config(minute(5)), { limits })
    const proxy = new SimulatedProxy(node, 'allow')
    expect(await ask(proxy, 3, 'key=a')).toBe(3)
    await second(proxy)
    const rule = { algorithm: 'fixedWindow', amount: 5, windowMs: 60_000, from: 'epoch' } as const
    const [outcome] = limits.charge([{ key: 'd|key=a#minute', rule, amount: 0 }], { mode: 'each' })
    expect(outcome?.left).toBe(2)
    expect(node.meter.value('rate_limit_hits_total', 'd', 'key', 'within')).toBe(3)
    expect(node.meter.value('rate_limit_quota_unassigned_total')).toBe(1)
  })

  it('calls counters what the descriptors of other doors are called', async () => {
    const memory = new MemoryLimits({ clock: new FakeClock() })
    const names = new Set<string>()
    const limits: Pick<Limits, 'charge'> = {
      charge: (charges, options) => {
        for (const { name } of charges) names.add(JSON.stringify(name?.()))
        return memory.charge(charges, options)
      },
    }
    const shared =
      '[{key: key, value: a*, share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 6}}, {key: key, rate_limit: {unit: hour, requests_per_unit: 6}}]'
    const { node, ask } = nodeOf(config(shared), { limits })
    const proxy = new SimulatedProxy(node)
    await ask(proxy, 1, 'key=a1')
    await ask(proxy, 1, 'key=b')
    expect([...names]).toEqual(['a*', 'b'].map((value) => JSON.stringify({ limit: 'd', values: [['key', value]] })))
  })

  it('shares one counter with others where the config says so', async () => {
    const { node, ask } = nodeOf(
      config('[{key: key, value: a*, share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 6}}]'),
    )
    const proxy = new SimulatedProxy(node)
    expect((await ask(proxy, 8, 'key=a1')) + (await ask(proxy, 8, 'key=a2'))).toBeLessThanOrEqual(6)
  })

  it('is only counted in shadow mode, and left alone where it is unlimited or in a domain that is not there', async () => {
    const { node, second, ask } = nodeOf(
      config(
        '[{key: key, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}},' +
          ' {key: free, rate_limit: {unlimited: true}}]',
      ),
    )
    const proxy = new SimulatedProxy(node)
    expect(await ask(proxy, 5, 'key=a')).toBe(4)
    expect(await ask(proxy, 5, 'free=a')).toBe(4)
    await second(proxy)
    expect(proxy.last).toEqual({ kind: 'allow' })
    expect(node.meter.value('rate_limit_hits_total', 'd', 'key', 'within')).toBe(4)
    const stranger = new SimulatedProxy(node, 'deny', 'elsewhere')
    expect(await ask(stranger, 5, 'key=a')).toBe(4)
    expect(node.meter.value('rate_limit_unknown_domains_total')).toBe(1)
  })

  it('has a limit that was raised, and one that has gone, with its next report', async () => {
    const { node, second, ask } = nodeOf(config(minute(2)))
    const proxy = new SimulatedProxy(node)
    expect(await ask(proxy, 6, 'key=a')).toBe(2)
    await second(proxy)
    expect(proxy.last).toEqual({ kind: 'deny' })
    node.domains = domainsOf(config(minute(10)))
    await second(proxy)
    expect(await ask(proxy, 20, 'key=a')).toBe(8)
    node.domains = domainsOf(config('[{key: other}]'))
    await second(proxy)
    expect(proxy.last).toEqual({ kind: 'allow' })
  })
})

describe('an assignment', () => {
  it('is a rate where windows are seconds, and the rates together are the limit', async () => {
    const { node, second, ask } = nodeOf(config('[{key: key, rate_limit: {unit: second, requests_per_unit: 100}}]'))
    const [one, other] = [new SimulatedProxy(node), new SimulatedProxy(node)]
    for (let step = 0; step < 4; step++) {
      await Promise.all([ask(one, 80, 'key=a'), ask(other, 8, 'key=a')])
      await second(one, other)
    }
    expect(one.last).toMatchObject({ kind: 'rate' })
    const rates = [one, other].map((proxy) => (proxy.last as { perSecond: number }).perSecond)
    expect(rates[0]).toBeGreaterThanOrEqual(80)
    expect(rates[1]).toBeGreaterThanOrEqual(8)
    expect((rates[0] ?? 0) + (rates[1] ?? 0)).toBe(100)
  })

  it('that was not used goes on; what is used up is given anew', async () => {
    const { node, second, ask } = nodeOf(config(minute(100)))
    const proxy = new SimulatedProxy(node)
    await ask(proxy, 1, 'key=a')
    expect(proxy.last).toEqual({ kind: 'requests', requests: 10, isNew: true })
    await second(proxy)
    expect(proxy.last).toEqual({ kind: 'requests', requests: 10, isNew: false })
    await ask(proxy, 9, 'key=a')
    await second(proxy)
    expect(proxy.last).toMatchObject({ kind: 'requests', isNew: true })
  })

  it('of a proxy that fell silent is free again when it has expired', async () => {
    const { node, clock, second, ask } = nodeOf(config(minute(10)))
    const [silent, other] = [new SimulatedProxy(node), new SimulatedProxy(node)]
    await ask(silent, 1, 'key=a')
    expect(silent.last).toMatchObject({ requests: 10 })
    silent.close()
    await ask(other, 1, 'key=a')
    await second(other)
    expect(other.last).toEqual({ kind: 'deny' })
    await clock.advance(60_000)
    other.request('key=a')
    await second(other)
    expect(other.last).toMatchObject({ kind: 'requests', requests: 10 })
  })

  it('ends for a bucket that nobody asks for, and begins again with its next request', async () => {
    const { node, clock, second, ask } = nodeOf(config(minute(10)))
    const proxy = new SimulatedProxy(node)
    await ask(proxy, 1, 'key=a')
    expect(node.meter.value('rate_limit_quota_buckets')).toBe(1)
    for (let each = 0; each < 61; each++) await second(proxy)
    expect(proxy.last).toBe('abandon')
    expect(node.meter.value('rate_limit_quota_buckets')).toBe(0)
    await ask(proxy, 1, 'key=a')
    expect(proxy.last).toMatchObject({ requests: 10, isNew: true })
    // Nobody is heard of: it is forgotten by itself.
    await clock.advance(200_000)
    expect(proxy.last).toBe('abandon')
    proxy.close()
    await clock.advance(200_000)
    expect(clock.pending).toBe(0)
  })
})

describe('bounds', () => {
  it('keep out further proxies, further buckets, and ids that are none', async () => {
    const { node, ask } = nodeOf(config(minute(10)), { bounds: { maxProxies: 2, maxBuckets: 2 } })
    const [proxy] = [new SimulatedProxy(node), new SimulatedProxy(node)]
    expect(() => new SimulatedProxy(node)).toThrow('too many proxies')
    expect(() => node.assigner.open('', () => undefined)).toThrow('the domain is empty')
    await ask(proxy, 1, 'key=a')
    await ask(proxy, 1, `key=${'x'.repeat(2_000)}`)
    expect(proxy.last).toBe('abandon')
    await ask(proxy, 1)
    expect(proxy.last).toBe('abandon')
    await ask(proxy, 1, 'key=b')
    expect(proxy.last).toMatchObject({ requests: 10 })
    await ask(proxy, 1, 'key=c')
    expect(proxy.last).toBe('abandon')
    const refused = ['proxies', 'buckets', 'id'].map((why) => node.meter.value('rate_limit_quota_refused_total', why))
    expect(refused).toEqual([1, 1, 2])
    expect(node.meter.value('rate_limit_quota_proxies')).toBe(2)
  })
})

describe('while Redis is away', () => {
  const away = () => Promise.reject(new IntermixError('REDIS_UNAVAILABLE', 'away'))
  const claims: Claims = { processes: 4, claim: away }

  it('a node gives its proxies its share of the limit', async () => {
    const { node, second, ask } = nodeOf(
      config(
        '[{key: key, rate_limit: {unit: minute, requests_per_unit: 20}}, {key: fast, rate_limit: {unit: second, requests_per_unit: 20}}]',
      ),
      { claims },
    )
    const proxies = [new SimulatedProxy(node), new SimulatedProxy(node)] as const
    for (const key of ['key=a', 'fast=a']) for (const proxy of proxies) await ask(proxy, 1, key)
    await second(...proxies)
    const shares = proxies.map(({ actions }) =>
      Object.fromEntries(actions.map((each) => [each.bucket[0]?.key, 'strategy' in each ? each.strategy : undefined])),
    )
    const sum = (key: string, field: string) =>
      shares.reduce((all, each) => all + ((each[key] as unknown as Record<string, number>)[field] ?? 0), 0)
    expect(sum('key', 'requests')).toBe(5)
    expect(sum('fast', 'perSecond')).toBe(5)
  })

  it('open lets all pass', async () => {
    const { node, ask } = nodeOf(config(minute(2), '{redis_away: open}'), { claims })
    const proxy = new SimulatedProxy(node)
    expect(await ask(proxy, 20, 'key=a')).toBe(19)
  })

  it('closed assigns nothing, says so, and charges afterwards what was used', async () => {
    const memory = new MemoryLimits({ clock: new FakeClock() })
    let isAway = true
    const limits: Pick<Limits, 'charge'> = {
      charge: (charges, options) => (isAway ? away() : memory.charge(charges, options)),
    }
    const { node, second, ask } = nodeOf(config(minute(5), '{redis_away: closed}'), { limits })
    const proxy = new SimulatedProxy(node, 'allow')
    expect(await ask(proxy, 3, 'key=a')).toBe(3)
    await second(proxy)
    expect(proxy.actions).toEqual([])
    expect(node.meter.value('rate_limit_quota_refused_total', 'unknown')).toBeGreaterThan(0)
    expect(node.log.lines).toHaveLength(1)
    isAway = false
    await second(proxy)
    expect(proxy.last).toEqual({ kind: 'requests', requests: 2, isNew: true })
  })
})
