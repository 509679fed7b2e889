// What the sizes are measured on: a Redis, a backend whose answers are told, a node, and a worker where one is asked for.

import { createServer } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { start } from '../processes.ts'
import { startRedis } from '../redis-process.ts'
import { sizesConfig } from './config.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Redis answers every tenth of a second what it does of itself: after so long what was freed is free. */
const SETTLE_MS = 500
const LOOK_EVERY_MS = 200
const STUCK_AFTER_MS = 120_000

export interface World {
  readonly node: Addresses
  /** What the backend answers from now on. */
  answer(status: number, headers?: Readonly<Record<string, string>>): void
  startRole(role: 'node' | 'worker'): Promise<void>
  /** Bytes that Redis uses, without what it keeps for connections; once nothing more is under way. */
  dataBytes(): Promise<number>
  /** Bytes that it uses, and connections, but for the one that asks. */
  connections(): Promise<{ readonly bytes: number; readonly count: number }>
  readonly redis: Redis
  /** Waits until a count has come to what is expected. */
  until(count: () => Promise<number>, expected: number): Promise<void>
}

interface Addresses {
  readonly http: string
  readonly grpc: string
  readonly admin: string
}

type Defer = (end: () => Promise<unknown>) => void

/** Starts a Redis, a node and a backend. */
export async function startWorld(defer: Defer): Promise<World> {
  const server = await startRedis()
  defer(() => server.stop())
  const redis = new Redis(server.url)
  defer(async () => redis.disconnect())
  let reply: { status: number; headers: Readonly<Record<string, string>> } = { status: 200, headers: {} }
  const backend = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(reply.status, reply.headers).end())
  })
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
  defer(async () => {
    backend.closeAllConnections()
    backend.close()
  })
  const address = backend.address()
  if (address === null || typeof address === 'string') throw new Error('a server without a port')
  const config = await mkdtemp(join(tmpdir(), 'intermix-sizes-'))
  defer(() => rm(config, { recursive: true, force: true }))
  await writeFile(join(config, 'sizes.yaml'), sizesConfig(`http://127.0.0.1:${address.port}`))
  const startRole = async (role: 'node' | 'worker') => {
    const own = role === 'node' ? ['--grpc-address', ANY, '--http-address', ANY] : ['--prometheus-address', ANY]
    const args = ['bin/intermix.js', role, '--config', config, '--redis', server.url, '--redis-timeout', '1s']
    const child = await start({
      command: process.execPath,
      args: [...args, '--admin-address', ANY, '--log-format', 'json', '--shutdown-timeout', '2s', ...own],
      cwd: ROOT,
      ready: /"addresses":(\{[^}]*\})/,
    })
    defer(() => child.stop())
    return JSON.parse(child.match[1] ?? '{}') as Addresses
  }
  const node = await startRole('node')
  const memory = async () => {
    const text = await redis.info('memory')
    return (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  }
  return {
    node,
    redis,
    answer: (status, headers = {}) => {
      reply = { status, headers }
    },
    startRole: async (role) => void (await startRole(role)),
    async dataBytes() {
      await pause(SETTLE_MS)
      const of = await memory()
      return of('used_memory') - of('mem_clients_normal')
    },
    async connections() {
      await pause(SETTLE_MS)
      const of = await memory()
      const list = (await redis.client('LIST')) as string
      return { bytes: of('used_memory'), count: list.trim().split('\n').length - 1 }
    },
    async until(count, expected) {
      let [best, since] = [-1, Date.now()]
      for (let now = await count(); now < expected; now = await count()) {
        if (now > best) [best, since] = [now, Date.now()]
        if (Date.now() - since > STUCK_AFTER_MS) throw new Error(`only ${now} of ${expected} came`)
        await pause(LOOK_EVERY_MS)
      }
    },
  }
}

const ANY = '127.0.0.1:0'
