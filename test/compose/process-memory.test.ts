import { expect, it } from 'vitest'
import { processMemory, roomBytes, warnOfCacheMemory } from '../../src/compose/process-memory.ts'
import { KeptLog } from '../redis/support.ts'

it('tells which share of its memory this process uses, and how much that is', () => {
  const used = processMemory(1).usedShare()
  expect(used).toBeGreaterThan(0)
  expect(used).toBeLessThan(1)
  expect(roomBytes(1)).toBeGreaterThan(32 * 1024 * 1024)
  expect(roomBytes(1_000_000)).toBeLessThanOrEqual(roomBytes(1))
})

it('warns where caches may hold more than there is room for', () => {
  const log = new KeptLog()
  warnOfCacheMemory(log, 70, 100)
  expect(log.lines).toEqual([])
  warnOfCacheMemory(log, 71, 100)
  expect(log.lines).toEqual([expect.stringMatching(/^warn caches may hold more .*"cacheBytes":71,"roomBytes":100/)])
})
