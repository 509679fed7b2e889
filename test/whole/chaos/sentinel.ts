// A master, a replica and a sentinel that fails over within a second or two.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../helpers/ports.ts'
import { spawnChild } from '../../helpers/process.ts'
import { startRedis } from '../../helpers/redis.ts'
import { findTool } from '../../helpers/tools.ts'
import { testLink, until, untilUp } from '../../redis/support.ts'

export interface SentinelSetup {
  /** Names the sentinel and its master. */
  readonly url: string
  killMaster(): Promise<void>
  /** The master stops answering, its connections stay. */
  pauseMaster(): void
  /** Waits until the replica is the master; `meanwhile` runs again and again. */
  untilPromoted(meanwhile: () => Promise<unknown>): Promise<void>
  stop(): Promise<void>
}

export async function startSentinel(): Promise<SentinelSetup> {
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const { link } = testLink(replica.url, 2_000)
  await untilUp(link)
  // A sentinel cuts the connections of what it promotes.
  const role = () => link.run((client) => client.info('replication')).catch(() => '')
  await until(async () => (await role()).includes('master_link_status:up'), 'the replica has its master')
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'intermix-sentinel-'))
  const config = join(directory, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor main 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 3000',
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  const sentinel = await spawnChild(findTool('redis-server') ?? 'redis-server', [config, '--sentinel'])
  await sentinel.waitForOutput(/\+slave slave/)
  return {
    url: `redis+sentinel://127.0.0.1:${port}/main`,
    killMaster: () => master.kill(),
    pauseMaster: () => master.pause(),
    async untilPromoted(meanwhile) {
      await until(
        async () => {
          await meanwhile()
          return (await role()).includes('role:master')
        },
        'the replica is promoted',
        30_000,
      )
    },
    async stop() {
      link.close()
      await sentinel.kill()
      await replica.stop()
      await master.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
