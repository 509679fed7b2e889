// Shows that the oracle can fail: each defect is put into one small module, and the simulation has to notice it.

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { type TestLink, testLink, untilUp } from '../redis/support.ts'
import { CACHE_DEFECTS } from './cache-defects.ts'
import { uproot } from './planted.ts'
import { POLICY_DEFECTS } from './policy-defects.ts'

/** A defect has to show within so many checks; each seed brings configs and requests of its own. */
const SEEDS = 60
const CHECKS_PER_SEED = 250

let redis: RedisServer
let connection: TestLink

beforeAll(async () => {
  redis = await startRedis()
  connection = testLink(redis.url, 2_000, 'cache')
  await untilUp(connection.link)
})

afterAll(async () => {
  connection.link.close()
  await redis.stop()
})

afterEach(uproot)

/** The first wrong answer that the simulation finds, or undefined. */
async function firstWrongAnswer(inMesh: boolean, seeds = SEEDS): Promise<string | undefined> {
  vi.resetModules()
  const { simulate, WrongAnswer } = await import('./simulation.ts')
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      const link = inMesh ? connection.link : undefined
      await simulate({ seed, checks: CHECKS_PER_SEED, link, prefix: `planted${seed}` })
    } catch (error) {
      if (error instanceof WrongAnswer) return error.message
      throw error
    }
  }
  return undefined
}

describe('the oracle', { timeout: 60_000 }, () => {
  it('finds nothing wrong where nothing is', async () => {
    expect(await firstWrongAnswer(false, 30)).toBeUndefined()
  })

  it.each([...CACHE_DEFECTS, ...POLICY_DEFECTS])('notices when $name', async ({ plant, inMesh = false }) => {
    plant()
    expect(await firstWrongAnswer(inMesh)).toMatch(/^seed \d+/)
  })
})
