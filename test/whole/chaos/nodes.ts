// Nodes as they are composed in production, in the process of the test: real doors, config, handlers and links to Redis,
// and a policy backend that knows every right answer.

import { expect } from 'vitest'
import { readSettings } from '../../../src/settings/settings.ts'
import { createProcess } from '../../../src/compose/compose.ts'
import { Health } from '../../../src/observe/health.ts'
import { createLoopMonitor } from '../../../src/observe/loop-lag.ts'
import { createMeter } from '../../../src/observe/meter.ts'
import { sumOfSeries } from '../intermix.ts'
import { entitled, writePolicy } from '../policy.ts'
import { type HttpBackend, startHttpBackend } from '../../helpers/http-backend.ts'
import { KeptLog, realClock, until } from '../../redis/support.ts'

/** No answer may take longer: a generous bound for a deadline of 50 ms for Redis and a backend that answers at once. */
const PATIENCE_MS = 1_000

export interface Told {
  readonly code: number
  readonly tier: string
  readonly ageMs: number
}

export interface ChaosNode {
  readonly id: string
  /** Asks whether a user may pass; fails the test when the answer is wrong or late. */
  ask(user: string): Promise<Told>
  revoke(target: object): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>
  /** Sum over the series of a metric whose labels hold `label`. */
  metric(name: string, label?: string): Promise<number>
  readonly stop: () => Promise<void>
}

export interface ChaosMesh {
  readonly nodes: readonly [ChaosNode, ChaosNode]
  readonly backend: HttpBackend
  /** Asks both nodes for `count` users that nobody asked for before, each twice. @returns the tiers that answered. */
  readonly askNew: (count: number) => Promise<string[]>
  /** Waits until what one node asks the backend is served to the other from the mesh tier. @returns the user it was asked for */
  readonly untilShared: () => Promise<string>
  readonly stop: () => Promise<void>
}

/** Starts two nodes with these flags; they need not find a Redis. */
export async function startChaosMesh(flags: readonly string[]): Promise<ChaosMesh> {
  const backend = await startHttpBackend(({ body }) => {
    const { fields } = JSON.parse(body) as { fields: { value: string } }
    return { status: entitled(fields.value) ? 200 : 403 }
  })
  const policy = await writePolicy(backend.url)
  const start = (id: string) => startNode(id, ['--config', policy.directory, ...flags])
  const nodes = [await start('n1'), await start('n2')] as const
  let users = 0
  const askNew = async (count: number) => {
    const tiers: string[] = []
    for (let i = 0; i < count; i++) {
      const user = `user-${++users}`
      for (const node of [...nodes, ...nodes]) tiers.push((await node.ask(user)).tier)
    }
    return tiers
  }
  return {
    nodes,
    backend,
    askNew,
    async untilShared() {
      await until(async () => (await askNew(1))[1] === 'mesh', 'verdicts are shared through Redis', 20_000)
      return `user-${users}`
    },
    async stop() {
      for (const node of nodes) await node.stop()
      await backend.close()
      await policy.remove()
    },
  }
}

async function startNode(id: string, flags: readonly string[]): Promise<ChaosNode> {
  const doors = ['--grpc-address=127.0.0.1:0', '--http-address=127.0.0.1:0', '--admin-address=127.0.0.1:0']
  const result = readSettings('node', ['--node-id', id, ...doors, ...flags], {})
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  const meter = createMeter({ processMetrics: false })
  const clock = realClock
  const loopLag = createLoopMonitor({ clock, meter })
  const ports = { clock, random: Math.random, log: new KeptLog(), meter, health: new Health(), loopLag }
  const running = await createProcess('node', result.settings, ports)
  const { addresses } = await running.start()
  const url = `http://${addresses['http'] ?? ''}`
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const check = async (user: string): Promise<Told> => {
    const attributes = { 'request.path': '/entitled', 'request.headers': { 'x-user': user } }
    const { status, body } = await post('/v1/check', { attributes })
    expect([status, body]).toEqual([200, expect.anything()])
    const { code } = body['status'] as { code: number }
    return { code, tier: String(body['tier']), ageMs: Number(body['ageMs']) }
  }
  return {
    id,
    async ask(user) {
      const startedAt = performance.now()
      const told = await check(user)
      expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS)
      expect([id, user, told.tier, told.code]).toEqual([id, user, told.tier, entitled(user) ? 0 : 7])
      return told
    },
    async revoke(target) {
      const revoke = running.operations?.get('revocations')
      const reply = await revoke?.({ body: Buffer.from(JSON.stringify(target)), query: {} })
      return { status: reply?.httpStatus ?? 0, body: { ...reply?.body } }
    },
    async metric(name, label = '') {
      const lines = (await meter.render()).split('\n').filter((line) => line.includes(label))
      return sumOfSeries(lines.join('\n'), name)
    },
    async stop() {
      await running.stop(2_000)
      loopLag.stop()
    },
  }
}
