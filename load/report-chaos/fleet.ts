// The processes of a chaos run: nodes, workers, Redis with an append-only file, and the backend.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RedisProcess, startRedis } from '../redis-process.ts'
import { chaosConfig, COUNTER } from './config.ts'
import { Member } from './member.ts'
import type { Receiver } from './receiver.ts'

const NODES = 2
const WORKERS = 2
const PREFIX = 'chaos'

/** What an acknowledgement promises. */
export type Ack = 'queued' | 'memory'

/** How often Redis has its file synced. */
export type Fsync = 'everysec' | 'always'

export interface FleetOptions {
  readonly fsync: Fsync
  readonly maxMemoryBytes: number
  /** What a node's acknowledgement promises; with `memory` it has no disk either. */
  readonly ack: Ack
  /** Environment of nodes and workers. */
  readonly env: Readonly<Record<string, string>>
  readonly receiver: Receiver
}

export class Fleet {
  readonly nodes: readonly Member[]
  readonly workers: readonly Member[]
  readonly redis: RedisProcess
  readonly receiver: Receiver
  readonly maxMemoryBytes: number
  readonly #directory: string

  private constructor(options: FleetOptions, redis: RedisProcess, directory: string) {
    const { ack, env, receiver, maxMemoryBytes } = options
    this.redis = redis
    this.receiver = receiver
    this.maxMemoryBytes = maxMemoryBytes
    this.#directory = directory
    const common = ['--config', join(directory, 'config'), ...this.redisFlags]
    const named = (role: 'node' | 'worker', count: number, flags: (name: string) => readonly string[]) =>
      Array.from({ length: count }, (_, index) => {
        const name = `${role}-${index + 1}`
        return new Member({ role, name, flags: [...common, ...flags(name)], env })
      })
    this.nodes = named('node', NODES, (name) => [
      '--report-ack',
      ack,
      ...(ack === 'queued' ? ['--spool-dir', join(directory, name)] : []),
    ])
    this.workers = named('worker', WORKERS, () => [])
  }

  static async start(options: FleetOptions): Promise<Fleet> {
    const directory = await mkdtemp(join(tmpdir(), 'intermix-chaos-'))
    await mkdir(join(directory, 'config'))
    await writeFile(join(directory, 'config', 'policy.yaml'), chaosConfig(options.receiver.url))
    const memory = ['--maxmemory', String(options.maxMemoryBytes), '--maxmemory-policy', 'noeviction']
    const redis = await startRedis(['--appendonly', 'yes', '--appendfsync', options.fsync, ...memory])
    const fleet = new Fleet(options, redis, directory)
    try {
      await fleet.heal()
    } catch (error) {
      await fleet.stop()
      throw error
    }
    return fleet
  }

  /** For commands that look into the same Redis. */
  get redisFlags(): readonly string[] {
    return ['--redis', this.redis.url, '--redis-prefix', PREFIX]
  }

  get members(): readonly Member[] {
    return [...this.nodes, ...this.workers]
  }

  /** Everything runs again. */
  async heal(): Promise<void> {
    await Promise.all(this.members.map((member) => member.up()))
  }

  /** The records that the workers' counters have, over all of them; `NaN` where one does not answer. */
  async counted(): Promise<number> {
    const texts = await Promise.all(
      this.workers.map(async ({ addresses }) => {
        const answer = await fetch(`http://${addresses?.prometheus}/metrics`).catch(() => undefined)
        return answer?.ok === true ? await answer.text() : undefined
      }),
    )
    return texts.reduce((sum, text) => sum + (text === undefined ? Number.NaN : sumOf(text)), 0)
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()))
    await this.redis.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function sumOf(text: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(`${COUNTER}{`) || line.startsWith(`${COUNTER} `))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
