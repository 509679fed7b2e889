// A Redis cluster of three masters without replicas.

import { freePorts } from '../../helpers/ports.ts'
import { type RedisServer, startRedis } from '../../helpers/redis.ts'
import { testLink, until, untilUp } from '../../redis/support.ts'

export interface RedisCluster {
  readonly url: string
  readonly masters: readonly RedisServer[]
  stop(): Promise<void>
}

const MASTERS = 3
const SLOTS = 16_384

/** Starts it and waits until every master knows all slots to be served. */
export async function startThreeMasters(): Promise<RedisCluster> {
  const buses = await freePorts(MASTERS)
  const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-node-timeout', '1000']
  const masters = await Promise.all(
    buses.map((bus, i) => {
      const own = ['--cluster-port', String(bus), '--cluster-config-file', `nodes-${i}.conf`]
      return startRedis({ args: [...args, ...own] })
    }),
  )
  const links = masters.map(({ url }) => testLink(url, 5_000).link)
  for (const [i, link] of links.entries()) {
    await untilUp(link)
    const first = Math.ceil((i * SLOTS) / MASTERS)
    const last = Math.ceil(((i + 1) * SLOTS) / MASTERS) - 1
    await link.run((client) => client.call('CLUSTER', 'ADDSLOTSRANGE', first, last))
    const meet = ['CLUSTER', 'MEET', '127.0.0.1', masters[0]?.port ?? 0, buses[0] ?? 0] as const
    if (i > 0) await link.run((client) => client.call(...meet))
  }
  for (const link of links) {
    const ready = async () => {
      const info = String(await link.run((client) => client.call('CLUSTER', 'INFO')))
      return info.includes('cluster_state:ok') && info.includes(`cluster_size:${MASTERS}`)
    }
    await until(ready, 'the cluster is ready', 30_000)
    link.close()
  }
  return {
    url: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    masters,
    async stop() {
      for (const master of masters) await master.stop()
    },
  }
}
