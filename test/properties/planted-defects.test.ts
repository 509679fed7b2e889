// Shows that the oracle can fail: each defect is put into one small module, and the simulation has to notice it.

import { afterEach, describe, expect, it, vi } from 'vitest'
import { CACHE_DEFECTS } from './cache-defects.ts'
import { CHARGE_DEFECTS } from './charge-defects.ts'
import { uproot } from './planted.ts'
import { POLICY_DEFECTS } from './policy-defects.ts'
import { SIDECAR_DEFECTS } from './sidecar-defects.ts'
import { sharedRedis } from '../redis/shared-redis.ts'

/** A defect has to show within so many checks; each seed brings configs and requests of its own. */
const SEEDS = 150
const CHECKS_PER_SEED = 250

const { link } = await sharedRedis({ commandTimeoutMs: 2_000, role: 'cache' })

afterEach(uproot)

/** The first wrong answer that the simulation finds, or undefined. */
async function firstWrongAnswer(inMesh: boolean, seeds = SEEDS): Promise<string | undefined> {
  vi.resetModules()
  const { simulate, WrongAnswer } = await import('./simulation.ts')
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await simulate({ seed, checks: CHECKS_PER_SEED, link: inMesh ? link : undefined, prefix: `planted${seed}` })
    } catch (error) {
      if (error instanceof WrongAnswer) return error.message
      throw error
    }
  }
  return undefined
}

describe('the oracle', () => {
  it('finds nothing wrong where nothing is', async () => {
    expect(await firstWrongAnswer(false, 30)).toBeUndefined()
  })

  it.each([...CACHE_DEFECTS, ...POLICY_DEFECTS, ...CHARGE_DEFECTS, ...SIDECAR_DEFECTS])(
    'notices when $name',
    async ({ plant, inMesh = false }) => {
      plant()
      expect(await firstWrongAnswer(inMesh)).toMatch(/^seed \d+/)
    },
  )
})
