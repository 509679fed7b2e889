// A Redis cluster of one node, which refuses keys of different slots in one call as any cluster does.

import { connect } from 'node:net'
import { freePort } from '../helpers/ports.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { until } from './support.ts'

/** Starts it and waits until it serves all slots. */
export async function startCluster(): Promise<RedisServer> {
  const bus = String(await freePort())
  const redis = await startRedis({
    args: ['--cluster-enabled', 'yes', '--cluster-port', bus, '--cluster-announce-ip', '127.0.0.1'],
  })
  const { port } = redis
  await raw(port, 'CLUSTER ADDSLOTSRANGE 0 16383')
  await until(async () => (await raw(port, 'CLUSTER INFO')).includes('cluster_state:ok'), 'the cluster is ready')
  return redis
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
