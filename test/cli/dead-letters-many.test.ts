// Thousands of dead letters, each with a whole batch: more than the command could hold at once.

import { Queue } from 'bullmq'
import { afterEach, expect, it } from 'vitest'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { startCommand } from '../whole/intermix.ts'

const LETTERS = 1_000
const LETTER_BYTES = 100_000
/** Less than the letters take. */
const HEAP_MIB = 64

let redis: RedisServer | undefined
afterEach(() => redis?.stop())

async function fill(port: number): Promise<void> {
  const names = queueNames()
  const connection = { host: '127.0.0.1', port }
  const queue = new Queue(names.deadLetters, { connection, prefix: names.keyPrefix(names.deadLetters) })
  const filler = 'x'.repeat(LETTER_BYTES)
  for (let from = 0; from < LETTERS; from += 100) {
    const jobs = Array.from({ length: 100 }, (_, at) => {
      const id = `b-${from + at}`
      const job = { version: 1, id, handler: 'a', template: 'metric', count: 1, replays: 0, instances: [], filler }
      const times = { firstFailureAt: 0, lastFailureAt: 0 }
      const letter = { version: 1, id, handler: 'a', template: 'metric', count: 1, reason: 'no', attempts: 1, ...times }
      const data = { ...letter, replays: 0, content: { kind: 'instances', job } }
      return { name: 'dead-letter', data, opts: { jobId: id } }
    })
    await queue.addBulk(jobs)
  }
  await queue.close()
}

it('are gone through without being held all at once, and it is said how far it is', async () => {
  redis = await startRedis()
  await fill(redis.port)
  const heap = { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` }
  const child = await startCommand(['dead-letters', 'drop', '--all', '--reason', 'yes', '--redis', redis.url], heap)
  await child.exited
  const lines = child.output().trim().split('\n')
  expect(lines).toEqual([
    ...[500, 1000].map((looked) => `looked at ${looked} of 1000: dropped 0 dead letters with 0 records`),
    'dropped 0 dead letters with 0 records',
  ])
})
