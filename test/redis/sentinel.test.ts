import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { freePort } from '../helpers/ports.ts'
import { type Child, spawnChild } from '../helpers/process.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { testLink, untilUp } from './support.ts'

let redis: RedisServer | undefined
let sentinel: Child | undefined
let directory = ''
let link: RedisLink | undefined

afterEach(async () => {
  link?.close()
  await sentinel?.kill()
  await redis?.stop()
  await rm(directory, { recursive: true, force: true })
})

describe('a link through Sentinel', () => {
  it('finds the master by its name, trying one sentinel after the other', async () => {
    const [port, nobody] = [await freePort(), await freePort()]
    redis = await startRedis()
    directory = await mkdtemp(join(tmpdir(), 'intermix-sentinel-'))
    const config = join(directory, 'sentinel.conf')
    await writeFile(config, `port ${port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 ${redis.port} 1\n`)
    sentinel = await spawnChild('redis-server', [config, '--sentinel'])
    await sentinel.waitForPort(port)
    const found = testLink(`redis+sentinel://127.0.0.1:${nobody},127.0.0.1:${port}/main/3`, 1000).link
    link = found
    await untilUp(found)
    expect(await found.run((client) => client.set('a', '1'))).toBe('OK')
    const direct = testLink(`${redis.url}/3`, 1000).link
    await untilUp(direct)
    expect(await direct.run((client) => client.get('a'))).toBe('1')
    direct.close()
  }, 15_000)
})
