// A Redis cluster, of one node as a rule, which refuses keys of different slots in one call as any cluster does.

import { connect } from 'node:net'
import { freePort } from '../helpers/ports.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { until } from './support.ts'

const SLOTS = 16_384

/** Starts it and waits until it serves all slots. */
export async function startCluster(): Promise<RedisServer> {
  const [redis] = await startMasters(1)
  return redis as RedisServer
}

/** Starts a cluster of so many masters, which share the slots evenly, the first one the lowest. */
export async function startMasters(count: number): Promise<readonly RedisServer[]> {
  const started = await Promise.all(Array.from({ length: count }, startMaster))
  for (const [i, { redis }] of started.entries()) {
    const [from, to] = [Math.floor((i * SLOTS) / count), Math.floor(((i + 1) * SLOTS) / count) - 1]
    await raw(redis.port, `CLUSTER ADDSLOTSRANGE ${from} ${to}`)
    await raw(redis.port, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`)
    const [first] = started
    if (i > 0 && first !== undefined) await raw(redis.port, `CLUSTER MEET 127.0.0.1 ${first.redis.port} ${first.bus}`)
  }
  for (const { redis } of started) {
    const isReady = async () => (await raw(redis.port, 'CLUSTER INFO')).includes('cluster_state:ok')
    await until(isReady, 'the cluster is ready', 20_000)
  }
  return started.map(({ redis }) => redis)
}

async function startMaster() {
  const bus = await freePort()
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-announce-ip', '127.0.0.1']
  return { redis: await startRedis({ args }), bus }
}

/** One inline command over a bare socket: a client of its own would wait until the cluster is ready. */
function raw(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`))
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString())
    })
  })
}
