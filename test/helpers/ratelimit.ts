// A real envoyproxy/ratelimit, which Go builds (`GO_PROGRAMS.ratelimit`).

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from './ports.ts'
import { spawnChild } from './process.ts'

export interface Ratelimit {
  readonly pid: number
  readonly grpcPort: number
  stop(): Promise<void>
}

export interface RatelimitOptions {
  readonly binary: string
  /** The texts of its config files. */
  readonly configs: readonly string[]
  /** `host:port` of its Redis. */
  readonly redis: string
  /** Further settings, which it takes from the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts it on free ports of the loopback interface, and waits until it serves. */
export async function startRatelimit({ binary, configs, redis, env }: RatelimitOptions): Promise<Ratelimit> {
  const root = await mkdtemp(join(tmpdir(), 'intermix-ratelimit-'))
  const folder = join(root, 'limits', 'config')
  await mkdir(folder, { recursive: true })
  for (const [index, text] of configs.entries()) await writeFile(join(folder, `limits-${index}.yaml`), text)
  const [http = 0, grpc = 0, debug = 0] = await freePorts(3)
  const child = await spawnChild(binary, [], {
    env: {
      HOST: '127.0.0.1',
      PORT: String(http),
      GRPC_HOST: '127.0.0.1',
      GRPC_PORT: String(grpc),
      DEBUG_HOST: '127.0.0.1',
      DEBUG_PORT: String(debug),
      RUNTIME_ROOT: root,
      RUNTIME_SUBDIRECTORY: 'limits',
      REDIS_SOCKET_TYPE: 'tcp',
      REDIS_URL: redis,
      USE_STATSD: 'false',
      ...env,
    },
  })
  const stop = async () => {
    await child.stop()
    await rm(root, { recursive: true, force: true })
  }
  try {
    await child.waitForPort(grpc)
    await child.waitForPort(http)
  } catch (error) {
    await stop()
    throw error
  }
  return { pid: child.pid, grpcPort: grpc, stop }
}
