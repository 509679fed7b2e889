import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keySlot, nameInSlot, SLOTS } from '../../src/redis/key-slot.ts'
import type { RedisServer } from '../helpers/redis.ts'
import { startCluster } from './cluster.ts'
import { testLink, untilUp } from './support.ts'

let redis: RedisServer

beforeAll(async () => {
  redis = await startCluster()
})

afterAll(async () => redis.stop())

describe('the slot of a key', () => {
  it('is what Redis says', async () => {
    const { link } = testLink(`redis+cluster://127.0.0.1:${redis.port}`, 2000)
    await untilUp(link)
    for (const key of [
      '',
      'a',
      'foo{bar}baz',
      '{}whole',
      '{a}{b}',
      'x{',
      'x{{y}}',
      '}{z}',
      'Größe',
      nameInSlot('q', 9),
    ]) {
      expect(keySlot(key), key).toBe(await link.run((client) => client.cluster('KEYSLOT', key)))
    }
    link.close()
  })

  it('can be chosen: a name is found for each, at both ends too', () => {
    for (const slot of [0, 1, 5461, 9000, SLOTS - 1]) {
      const distance = Math.abs(keySlot(nameInSlot('intermix-reports-s1', slot)) - slot)
      expect(Math.min(distance, SLOTS - distance)).toBeLessThanOrEqual(32)
      expect(nameInSlot('intermix-reports-s1', slot)).toBe(nameInSlot('intermix-reports-s1', slot))
    }
  })
})
