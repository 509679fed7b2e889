// Redis in a container, for machines that have Docker and no redis-server. Each test gets a container of its own.
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers'
import { startFlakyProxy } from './flaky-proxy.ts'
import type { RedisServer } from './redis-server.ts'

const IMAGE = 'redis:7.4-alpine'
const REDIS_PORT = 6379

/** Whether containers can be started on this machine. */
export async function containersRun(): Promise<boolean> {
  try {
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}

/** Starts a container with redis-server arguments; its faults are made by a proxy on this machine. */
export async function startRedisContainer(args: readonly string[]): Promise<RedisServer> {
  if (!(await containersRun())) {
    throw new Error('no Redis for the tests: set REDIS_URL, install redis-server, or start Docker')
  }
  const container = await new GenericContainer(IMAGE)
    .withCommand(['redis-server', '--save', '', '--appendonly', 'no', ...args])
    .withExposedPorts(REDIS_PORT)
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
    .start()
  const proxy = await startFlakyProxy({ host: container.getHost(), port: container.getMappedPort(REDIS_PORT) })
  let stopped = false
  return {
    url: `redis://127.0.0.1:${proxy.port}`,
    port: proxy.port,
    get pid(): number {
      throw new Error('this Redis runs in a container')
    },
    pause: () => proxy.setBlackhole(true),
    resume: () => proxy.setBlackhole(false),
    kill: () => proxy.refuse(),
    async restart() {
      await proxy.refuse()
      await container.exec(['redis-cli', 'FLUSHALL'])
      proxy.setBlackhole(false)
      await proxy.listen()
    },
    async stop() {
      if (stopped) return
      stopped = true
      await proxy.close()
      await container.stop()
    },
  }
}
