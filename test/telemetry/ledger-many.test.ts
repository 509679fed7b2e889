// The ledger of thousands of processes: all of them are in it, what is too old is forgotten, and nothing takes the square of their number.

import { describe, expect, it } from 'vitest'
import { findingsOf } from '../../src/telemetry/ledger-findings.ts'
import type { NodeFacts } from '../../src/telemetry/ledger-facts.ts'
import { LedgerAudit } from '../../src/telemetry/ledger-audit.ts'
import { NodeSigns } from '../../src/telemetry/node-signs.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, role: 'queue', emptied: true })
const { nodes, arrived, signed } = queueNames('many').ledger
const intake = { accepted: 0, delivered: 0, held: 0, stored: 0, recovered: 0, dropped: {}, refused: {} }
const numbers = (node: string, held = 0) => ({
  node,
  intake: { ...intake, accepted: held, held },
  queued: {},
  rules: [],
})
const DAY_MS = 24 * 3_600_000

/** Processes whose last sign is so old, `n-0` first. */
async function signs(count: number, ageMs: number, name: string): Promise<void> {
  const at = Date.now() - ageMs
  const ids = Array.from({ length: count }, (_, i) => `${name}-${i}`)
  await link.run(async (client) => {
    await client.hset(nodes, ...ids.flatMap((id) => [id, `${at} ${JSON.stringify(numbers(id, 1))}`]))
    await client.zadd(signed, ...ids.flatMap((id) => [String(at), id]))
    await client.hset(
      arrived,
      ...ids.flatMap((id) => [`${id} records`, '1', `${id} parcels`, '1', `${id} at`, String(at)]),
    )
  })
}

function startSigns(process: string): NodeSigns {
  const options = { link, log: new KeptLog(), prefix: 'many', process, node: process }
  const made = new NodeSigns({ ...options, clock: new FakeClock() })
  made.start(() => intake)
  return made
}

describe('the ledger of many processes', () => {
  it('names all that are gone', async () => {
    await signs(1_200, 60_000, 'gone')
    await signs(1_200, 0, 'alive')
    const audit = new LedgerAudit({ link, clock: new FakeClock(), meter: new ReadableMeter(), prefix: 'many' })
    await link.run((client) => client.del(arrived))
    const { nodes: rows, findings } = await audit.look()
    await audit.close()
    expect(rows).toHaveLength(2_400)
    expect(rows.filter(({ state }) => state === 'gone')).toHaveLength(1_200)
    expect(findings.filter(({ where, atLeast }) => where === 'node' && atLeast === 1)).toHaveLength(1_200)
  })

  it('forgets those of more than a day ago, a hundred at each first sign of a process', async () => {
    await signs(250, DAY_MS + 60_000, 'old')
    await signs(50, 60_000, 'new')
    const left: number[] = []
    for (let i = 0; i < 3; i++) {
      const started = startSigns(`started-${i}`)
      await started.say()
      left.push(await link.run((client) => client.hlen(nodes)))
      await started.end()
    }
    // The first sign comes twice here: from the start, and from us.
    expect(left).toEqual([101, 52, 53])
    for (let i = 3; (await link.run((client) => client.hlen(arrived))) > 150; i++) {
      expect(i).toBeLessThan(30)
      const started = startSigns(`started-${i}`)
      await started.say()
      await started.end()
    }
    expect(await link.run((client) => client.hget(arrived, 'new-7 records'))).toBe('1')
  })

  it('finds what is missing among ten thousand in one walk', () => {
    const all: NodeFacts[] = Array.from({ length: 10_000 }, (_, i) => ({
      ...numbers(`node-${i % 5_000}`, 3),
      process: `p-${String(i).padStart(5, '0')}`,
      queued: { [`p-${String(i).padStart(5, '0')}`]: [2, 1] as const },
      silentMs: i < 5_000 ? 4_000 : 10,
    }))
    const facts = {
      nodes: all,
      reportQueues: [{ name: 'reports', jobs: 0, begun: 0 }],
      handlerQueues: new Map(),
      letters: 0,
      arrived: new Map(),
      handlers: new Map(),
      oldestMs: undefined,
    }
    const findings = findingsOf(facts, undefined)
    // Each of the older half has a younger process of the same node.
    expect(findings.filter(({ where }) => where === 'node')).toHaveLength(5_000)
    const [queue] = findings.filter(({ where }) => where === 'queue')
    expect(queue).toMatchObject({ atLeast: 20_000 })
    expect(queue?.message).toContain('p-00000 (2 records)')
    expect(queue?.message).toContain('and 9990 more')
    expect(queue?.message.length).toBeLessThan(1_000)
  })
})
