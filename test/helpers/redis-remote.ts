// One database of a Redis that runs elsewhere, behind a proxy on this machine that makes the faults.
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { startFlakyProxy } from './flaky-proxy.ts'
import type { RedisServer } from './redis-server.ts'

const CLAIM_SECONDS = 900
const DATABASES = 16

/** Claims an empty database (1 to 15) of the Redis at `url`: claims are keys in database 0 that expire. */
export async function connectToRedis(url: string): Promise<RedisServer> {
  const target = new URL(url)
  const admin = new Redis(url, { db: 0, maxRetriesPerRequest: 1, connectTimeout: 2_000 })
  const owner = randomUUID()
  const database = await claim(admin, owner)
  await flush(admin, database)
  const proxy = await startFlakyProxy({ host: target.hostname, port: Number(target.port || '6379') })
  const own = new URL(url)
  own.hostname = '127.0.0.1'
  own.port = String(proxy.port)
  own.pathname = `/${database}`
  let stopped = false
  return {
    url: own.href,
    port: proxy.port,
    get pid(): number {
      throw new Error('this Redis is not a process of this machine')
    },
    pause: () => proxy.setBlackhole(true),
    resume: () => proxy.setBlackhole(false),
    kill: () => proxy.refuse(),
    async restart() {
      await proxy.refuse()
      await flush(admin, database)
      proxy.setBlackhole(false)
      await proxy.listen()
    },
    async stop() {
      if (stopped) return
      stopped = true
      await proxy.close()
      await flush(admin, database)
      await admin.del(claimKey(database))
      admin.disconnect()
    },
  }
}

async function claim(admin: Redis, owner: string): Promise<number> {
  for (let database = 1; database < DATABASES; database += 1) {
    if ((await admin.set(claimKey(database), owner, 'EX', CLAIM_SECONDS, 'NX')) === 'OK') return database
  }
  admin.disconnect()
  throw new Error(`all databases of the Redis at REDIS_URL are claimed by tests; claims expire in ${CLAIM_SECONDS} s`)
}

const claimKey = (database: number) => `intermix:test-database:${database}`

async function flush(admin: Redis, database: number): Promise<void> {
  // Databases are per connection: a connection of its own leaves the one of the claims alone.
  const client = admin.duplicate({ db: database })
  await client.flushdb()
  client.disconnect()
}
