// Users with the rights that `intermix redis-acl` prints do all that is done with rollouts.

import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/commands.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { Observations } from '../../src/rollout/observations.ts'
import { rolloutKeys } from '../../src/rollout/keys.ts'
import { RolloutStore, type Wish } from '../../src/rollout/rollout-store.ts'
import { VersionStore } from '../../src/rollout/version-store.ts'
import { testIo } from '../cli/support.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from '../redis/support.ts'
import { filesOf, idOf, NO_WAIT, saying } from './support.ts'

let redis: RedisServer
let admin: Redis
const links: RedisLink[] = []

/** Everything that is kept in Redis, as a user. */
async function as(role: 'node' | 'worker' | 'operator') {
  const { link } = testLink(redis.url.replace('//', `//intermix-${role}:pw@`), 5_000)
  links.push(link)
  await untilUp(link)
  const options = { link, prefix: 'intermix' }
  return {
    store: new RolloutStore(options),
    versions: new VersionStore(options),
    observations: new Observations(options),
  }
}

beforeAll(async () => {
  redis = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
  admin = new Redis(redis.port, '127.0.0.1')
  const io = testIo()
  await runCommand(['redis-acl', 'queue', '--roles', 'node,worker,operator'], io)
  for (const line of io.lines) await admin.call('ACL', ...line.split(' ').slice(1), '>pw')
})

afterAll(async () => {
  for (const link of links) link.close()
  admin.disconnect()
  await redis.stop()
})

const PUBLISH: Wish = {
  kind: 'publish',
  version: idOf('a'),
  id: 'try',
  by: 'ops',
  pace: NO_WAIT,
  expectations: [],
  again: false,
}

describe('a user with least rights', () => {
  it('publishes, leads, follows and looks, each as its role does', async () => {
    const operator = await as('operator')
    await operator.versions.keep(filesOf('a'), { author: 'ops', message: '' })
    expect(await operator.store.operate(PUBLISH)).toMatchObject({ kind: 'done' })
    expect(await operator.versions.resolve(idOf('a').slice(0, 8))).toBe(idOf('a'))
    expect(await operator.versions.list()).toHaveLength(1)
    expect(await operator.store.log(5)).toHaveLength(1)
    expect(await operator.observations.read()).toEqual({ observations: [], died: [], votes: [] })

    const node = await as('node')
    const lease = await node.store.lease('n1')
    expect(await node.store.apply(await node.store.view(), { kind: 'begin-preflight', by: 'n1' }, lease)).toMatchObject(
      {
        kind: 'done',
      },
    )
    expect(await node.versions.read(idOf('a'))).toMatchObject({ files: filesOf('a') })
    await node.observations.observe('n1', saying())
    expect((await node.observations.read()).observations).toHaveLength(1)
    await node.store.release('n1')

    const worker = await as('worker')
    expect(await worker.store.state()).toMatchObject({ rollout: { candidate: idOf('a') } })
    expect(await worker.versions.read(idOf('a'))).toBeDefined()
    for (const start of ['first', 'second'])
      await worker.observations.observe('w1', saying({ kind: 'worker', version: idOf('a'), start }))
    expect((await node.observations.read()).died).toHaveLength(1)
    await worker.observations.vote({ node: 'w1', version: idOf('a'), reason: 'r' })
    await admin.hset(rolloutKeys('intermix').state, 'body', '{')
    expect(await operator.store.repair(idOf('a'), 'ops')).toMatchObject({ kind: 'done' })
    expect(await admin.call('ACL', 'LOG')).toEqual([])
  })
})
