// What goes wrong with Redis on several machines, and is well again in the end.

import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisCluster } from '../../test/helpers/redis-cluster.ts'
import type { RedisSentinel } from '../../test/helpers/redis-sentinel.ts'
import { until } from '../../test/redis/support.ts'
import type { Fleet } from '../report-chaos/fleet.ts'

/** What a case has at hand. */
export interface Stage<Servers> {
  readonly servers: Servers
  readonly fleet: Fleet
  /** How long a fault lasts, and how long all is well before the next one. */
  readonly pauseMs: number
}

type Case<Servers> = (stage: Stage<Servers>) => Promise<void>

const FAILOVER_MS = 30_000
/** Of one move, as in the issue that this was written for. */
const MOVED_SLOTS = 500

/** Takes a cluster that clients reach through proxies. */
export const CUT = 'cluster-cut'

/** Takes a cluster that serves slots also while others are not served. */
export const PARTIAL = 'cluster-part-away'

export const CLUSTER_CASES = {
  /** What the others are compared with: nothing goes wrong. */
  'cluster-calm': async ({ pauseMs }) => await sleep(3 * pauseMs),
  /** A master dies, its replica takes over, and it comes back as a replica. */
  'cluster-kill': ({ servers, pauseMs }) =>
    eachMaster(servers, async (port) => {
      await servers.kill(port)
      await replaced(servers, port)
      await sleep(pauseMs)
      await servers.restart(port)
      await servers.untilOk()
      await sleep(pauseMs)
    }),
  /** A master stands still, is replaced, and goes on as if it still were one. */
  'cluster-pause': ({ servers, pauseMs }) =>
    eachMaster(servers, async (port) => {
      servers.pause(port)
      await replaced(servers, port)
      await sleep(pauseMs)
      servers.resume(port)
      await servers.untilOk()
      await sleep(pauseMs)
    }),
  'cluster-failover': ({ servers, pauseMs }) =>
    eachMaster(servers, async (port) => {
      await servers.failover(port)
      await sleep(pauseMs)
    }),
  /** Nobody reaches a master, and the cluster does not know it. */
  [CUT]: ({ servers, pauseMs }) =>
    eachMaster(servers, async (port) => {
      servers.cut(port)
      await sleep(pauseMs)
      servers.mend(port)
      await sleep(pauseMs)
    }),
  'cluster-reshard': async ({ servers, pauseMs }) => {
    const masters = await servers.masters()
    for (const [i, port] of masters.entries()) {
      await servers.moveSlots(port, masters[(i + 1) % masters.length] ?? port, MOVED_SLOTS)
      await sleep(pauseMs)
    }
  },
  /** No slot is served until both are back: that is how a cluster is set unless told otherwise. */
  'cluster-shard-away': withoutShards,
  /** The other shards go on. */
  [PARTIAL]: withoutShards,
  /** Nodes, workers and servers are restarted one by one, in good order: masters hand over first. */
  'cluster-rolling': async ({ servers, fleet, pauseMs }) => {
    await restartEach(fleet, pauseMs)
    for (const port of servers.ports) {
      if ((await servers.masters()).includes(port)) await servers.failover(port)
      await servers.kill(port, 'SIGTERM')
      await servers.restart(port)
      await servers.untilOk()
      await sleep(pauseMs)
    }
  },
} satisfies Readonly<Record<string, Case<RedisCluster>>>

export const SENTINEL_CASES = {
  'sentinel-kill': async ({ servers, pauseMs }) => {
    const master = await servers.master()
    await servers.kill(master)
    await servers.untilPromoted(master)
    await sleep(pauseMs)
    await servers.restart(master)
    await servers.untilOk()
    await sleep(pauseMs)
  },
  /** The master stands still, is replaced, and takes writes again until it is told that it is a replica. */
  'sentinel-pause': async ({ servers, pauseMs }) => {
    const master = await servers.master()
    servers.pause(master)
    await servers.untilPromoted(master)
    await sleep(pauseMs)
    servers.resume(master)
    await servers.untilOk()
    await sleep(pauseMs)
  },
  /** By hand: for some seconds there are two masters, until the old one becomes a replica. */
  'sentinel-failover': async ({ servers, pauseMs }) => {
    await servers.failover()
    await servers.untilOk()
    await sleep(pauseMs)
  },
  /** Nobody says who the master is; it goes on. One of the servers' connections breaks meanwhile. */
  'sentinels-away': async ({ servers, pauseMs }) => {
    for (const port of servers.sentinels) await servers.kill(port)
    await sleep(pauseMs)
    for (const port of servers.sentinels) await servers.restart(port)
    await servers.untilOk()
    await sleep(pauseMs)
  },
  'sentinel-rolling': async ({ servers, fleet, pauseMs }) => {
    await restartEach(fleet, pauseMs)
    for (const port of [...servers.servers, ...servers.sentinels]) {
      if (port === (await servers.master())) await servers.failover()
      await servers.untilOk()
      await servers.kill(port, 'SIGTERM')
      await servers.restart(port)
      await servers.untilOk()
      await sleep(pauseMs)
    }
  },
} satisfies Readonly<Record<string, Case<RedisSentinel>>>

export type CaseName = keyof typeof CLUSTER_CASES | keyof typeof SENTINEL_CASES

/** Cases in which two servers take writes as masters for a while: what the old one acknowledged is thrown away. */
export const TWO_MASTERS: readonly CaseName[] = [
  'cluster-pause',
  'sentinel-kill',
  'sentinel-pause',
  'sentinel-failover',
  'sentinel-rolling',
]

async function eachMaster(servers: RedisCluster, fault: (port: number) => Promise<void>): Promise<void> {
  for (const port of await servers.masters()) await fault(port)
}

async function withoutShards({ servers, pauseMs }: Stage<RedisCluster>): Promise<void> {
  await eachMaster(servers, async (port) => {
    const shard = [...(await servers.replicasOf(port)), port]
    for (const each of shard) await servers.kill(each)
    await sleep(pauseMs)
    for (const each of shard.toReversed()) await servers.restart(each)
    await servers.untilOk()
    await sleep(pauseMs)
  })
}

async function replaced(servers: RedisCluster, port: number): Promise<void> {
  const isReplaced = async () => !(await servers.masters().catch(() => [port])).includes(port)
  await until(isReplaced, `a replica takes over from ${port}`, FAILOVER_MS)
  await servers.untilOk()
}

async function restartEach(fleet: Fleet, pauseMs: number): Promise<void> {
  for (const member of fleet.members) {
    await member.stop()
    await member.up()
    await sleep(pauseMs)
  }
}
