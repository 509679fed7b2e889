// Brings faults about, and ends them.

import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Fault } from './faults.ts'
import type { RedisProcess } from '../redis-process.ts'
import type { Fleet } from './fleet.ts'
import type { Receiver } from './receiver.ts'

const FILLER = 'foreign-key'
/** The share of Redis' memory that is taken in the end, when somebody else takes most of it or all. */
const SHARES = { crowd: 0.9, fill: 0.99 }
/** What fails of the backend's calls all the time, and what while it is flaky. */
export const USUAL_FAILURES = 0.05
const FLAKY_FAILURES = 0.4

/** What faults come to. */
export interface Scene {
  readonly fleet: Fleet
  readonly redis: RedisProcess
  readonly receiver: Receiver
  readonly maxMemoryBytes: number
}

/** Resolves when the fault is over and what it was about is well again. */
export async function inflict(scene: Scene, fault: Fault): Promise<void> {
  const { target, kind, forMs } = fault
  const { fleet, receiver } = scene
  if (target === 'redis') return onRedis(scene, kind, forMs)
  if (target === 'backend') {
    receiver.failing = kind === 'fails' ? 1 : FLAKY_FAILURES
    await sleep(forMs)
    receiver.failing = USUAL_FAILURES
    return
  }
  const members = target === 'node' ? fleet.nodes : fleet.workers
  const member = members[fault.index % members.length]
  if (member === undefined) return
  if (kind === 'pause') member.pause()
  else if (kind === 'kill') await member.kill()
  else await member.stop()
  await sleep(forMs)
  await member.up()
}

async function onRedis(scene: Scene, kind: Fault['kind'], forMs: number): Promise<void> {
  const { redis } = scene
  if (kind === 'crowd' || kind === 'fill') {
    await filled(scene, SHARES[kind], forMs)
  } else if (kind === 'pause') {
    redis.pause()
    await sleep(forMs)
    redis.resume()
  } else {
    await redis.kill()
    await sleep(forMs)
    await redis.restart()
  }
}

/** Memory of Redis goes to a key that is nobody's of ours, and comes back. */
async function filled({ redis, maxMemoryBytes }: Scene, share: number, forMs: number): Promise<void> {
  const client = new Redis(redis.url)
  try {
    const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1] ?? 0)
    const free = Math.floor(share * maxMemoryBytes) - used
    if (free > 0) await client.setrange(FILLER, free, 'x')
    await sleep(forMs)
    await client.del(FILLER)
  } finally {
    client.disconnect()
  }
}
