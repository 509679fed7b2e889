// Redis killed, and back with an older copy of its data, while no node is left that knows what it has lost; and a Redis that has
// lived on behind another one, and has heard nothing of what was revoked there.

import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { RevocationService } from '../../src/cache/revocation-service.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { findTool } from '../helpers/tools.ts'
import { KeptLog, ReadableMeter, realClock, testLink, untilUp } from '../redis/support.ts'
import { allow, Backend, createNode, DOWN, said } from './support.ts'

const EVERYTHING = { kind: 'all' } as const

const ends: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A local server of the test's own: the data that it has saved survive its restart. */
async function startSaving(): Promise<RedisServer> {
  const redis = await startRedis({ args: ['--dbfilename', 'older.rdb'] })
  ends.push(() => redis.stop())
  return redis
}

async function connect(redis: { readonly url: string }): Promise<RedisLink> {
  const { link } = testLink(redis.url, 5_000)
  ends.push(() => link.close())
  await untilUp(link)
  return link
}

/** A node that follows the log in `queue` and shares verdicts in `cache`. */
async function startNode(id: string, queue: { readonly url: string }, cache: RedisServer) {
  const node = createNode({ clock: realClock as never, link: await connect(cache), nodeId: id })
  const log = new KeptLog()
  const link = await connect(queue)
  const { revocations } = node
  const common = { clock: realClock, log, meter: new ReadableMeter(), prefix: 'test', partitionMaxAgeMs: 30_000 }
  const service = new RevocationService({ ...common, revocations, link, nodeId: id })
  await service.start()
  ends.push(() => service.stop())
  return { ...node, service, log }
}

type RunningNode = Awaited<ReturnType<typeof startNode>>

// Only a process of the test's own keeps its data over a restart.
describe.skipIf(findTool('redis-server') === undefined)('a revocation that was confirmed', () => {
  it.each([
    ['the one Redis', false],
    ['the Redis of the queues', true],
  ])('stays in force when %s comes back from an older copy and all nodes start anew', async (_, apart) => {
    const queue = await startSaving()
    const cache = apart ? await startSaving() : queue
    const backend = new Backend(realClock as never)
    backend.answer = allow(600_000)
    const before = [await startNode('n1', queue, cache), await startNode('n2', queue, cache)] as const
    expect(await said(before[0].ask(backend))).toBe('backend allow')
    expect(await said(before[1].ask(backend))).toBe('mesh allow')
    const admin = await connect(queue)
    await admin.run((client) => client.save())
    const receipt = await before[1].service.revoke(EVERYTHING)
    expect([...receipt.confirmed].sort()).toEqual(['n1', 'n2'])
    for (const node of before) node.service.stop()
    await queue.kill()
    await queue.restart()

    backend.answer = DOWN
    const after: RunningNode[] = []
    for (const id of ['n1', 'n2', 'n3']) after.push(await startNode(id, queue, cache))
    // What was revoked is there again, with its number in the log and without the revocation.
    const link = await connect(cache)
    expect(await link.run((client) => client.keys('test:*:v'))).toHaveLength(1)
    for (const node of after) expect(await said(node.ask(backend))).toBe('unknown')
    const [first, ...others] = after.map((node) => node.revocations.epoch)
    for (const epoch of others) expect(epoch).toEqual(first)
    expect(first?.generation).not.toBe(before[0].revocations.epoch.generation)

    backend.answer = allow(600_000)
    await expect.poll(() => said((after[0] as RunningNode).ask(backend))).toBe('backend allow')
    await expect.poll(() => said((after[1] as RunningNode).ask(backend))).toMatch(/^(mesh|local) allow$/)
    expect((await (after[2] as RunningNode).service.revoke(EVERYTHING)).unconfirmed).toEqual([])
  })

  it('stays in force on nodes that lived on, which say that all verdicts are void', async () => {
    const redis = await startSaving()
    const node = await startNode('n1', redis, redis)
    const backend = new Backend(realClock as never)
    await node.ask(backend)
    const admin = await connect(redis)
    await admin.run((client) => client.save())
    await node.service.revoke(EVERYTHING)
    const { generation } = node.revocations.epoch
    await redis.restart()
    backend.answer = DOWN
    await expect.poll(() => node.revocations.epoch.generation).not.toBe(generation)
    expect(await said(node.ask(backend))).toBe('unknown')
    expect(node.log.lines.join('\n')).toContain('another run of Redis')
  })
})

/** An address behind which one server after the other is, as a name or a balancer has it. */
async function startAddress(first: RedisServer) {
  const sockets = new Set<Socket>()
  let target = first
  const server = createServer((client) => {
    const { hostname: host, port } = new URL(target.url)
    const upstream = connectTcp({ host, port: Number(port) })
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  ends.push(() => {
    cut()
    server.close()
  })
  const leadTo = (next: RedisServer) => {
    target = next
    cut()
  }
  return { url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`, leadTo }
}

it('a revocation that was confirmed stays in force when its address leads back to an older server, which has lived on', async () => {
  const servers = await Promise.all([startRedis(), startRedis(), startRedis()])
  for (const server of servers) ends.push(() => server.stop())
  const [first, second, cache] = servers
  const address = await startAddress(first)
  const backend = new Backend(realClock as never)
  backend.answer = allow(600_000)
  const [one, two] = [await startNode('n1', address, cache), await startNode('n2', address, cache)]
  expect(await said(one.ask(backend))).toBe('backend allow')
  const before = one.revocations.epoch.generation
  const bothKnow = (test: (generation: string) => boolean) =>
    expect
      .poll(() => new Set([one, two].map(({ revocations }) => revocations.epoch.generation)))
      .toSatisfy((all: Set<string>) => all.size === 1 && [...all].every(test))

  address.leadTo(second)
  await bothKnow((generation) => generation !== before)
  const during = one.revocations.epoch.generation
  expect((await two.service.revoke(EVERYTHING)).unconfirmed).toEqual([])
  address.leadTo(first)
  await bothKnow((generation) => generation !== during)

  backend.answer = DOWN
  for (const node of [one, two]) expect(await said(node.ask(backend))).toBe('unknown')
  expect((await one.service.revoke(EVERYTHING)).counts).toEqual({ confirmed: 2, unconfirmed: 0, silent: 0, callers: 0 })
})
