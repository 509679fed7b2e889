// What is asked of both rate limit services, and what their Redis had to do.

import { Redis } from 'ioredis'
import type { DoorName } from '../kit/doors.ts'
import type { Load } from '../kit/load.ts'

export interface Scenario {
  readonly name: string
  readonly title: string
  readonly door: DoorName
  readonly keys: Load['keys']
  /** The config of both. */
  readonly limits: string
  /** Whether most is over its limit. */
  readonly isOver: boolean
}

const MANY = 4_000_000_000

function limitsOf(most: number): string {
  const limits = ['path', 'service', 'client'].map(
    (key) => `  - {key: ${key}, rate_limit: {unit: hour, requests_per_unit: ${most}}}\n`,
  )
  return `domain: load\ndescriptors:\n${limits.join('')}`
}

const ONE: Scenario = {
  name: 'one',
  title: 'one descriptor, 100 keys',
  door: 'rls',
  keys: { count: 100, zipf: 0 },
  limits: limitsOf(MANY),
  isOver: false,
}

export const SCENARIOS: readonly Scenario[] = [
  ONE,
  { ...ONE, name: 'three', title: 'three descriptors, of 100, 10 and 100 keys', door: 'rls3' },
  {
    ...ONE,
    name: 'over',
    title: 'one descriptor, 100 keys, 10 requests an hour each: nearly all is over the limit',
    limits: limitsOf(10),
    isOver: true,
  },
  { ...ONE, name: 'keys', title: "one descriptor, 10,000 keys by Zipf's law", keys: { count: 10_000, zipf: 1 } },
]

/** Commands that clients sent so far, without those that scripts ran; `empty` drops all data and begins to count anew. */
export async function callsOf(port: number, empty?: 'empty'): Promise<number> {
  const redis = new Redis({ port, host: '127.0.0.1' })
  try {
    if (empty !== undefined) {
      await redis.flushall()
      await redis.config('RESETSTAT')
      return 0
    }
    const stats = await redis.info('commandstats')
    return ['evalsha', 'eval', 'incrby', 'expire'].reduce(
      (sum, name) => sum + Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0),
      0,
    )
  } finally {
    redis.disconnect()
  }
}
