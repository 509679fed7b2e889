import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { cpuSeconds, forgetPeak, memoryOf, processTree } from '../../../load/kit/process-usage.ts'

it('tells the processor time that the process itself knows of', () => {
  const before = process.cpuUsage()
  const told = cpuSeconds([process.pid])
  const after = process.cpuUsage()
  // Counted in hundredths, rounded down, user and system each.
  expect(told).toBeGreaterThanOrEqual((before.user + before.system) / 1e6 - 0.03)
  expect(told).toBeLessThanOrEqual((after.user + after.system) / 1e6 + 0.01)
  expect(cpuSeconds([process.pid, process.pid])).toBeGreaterThanOrEqual(2 * told)
})

it('tells resident memory, and the peak since it was to be forgotten', () => {
  const { now, peak } = memoryOf([process.pid])
  expect(now / process.memoryUsage().rss).toBeCloseTo(1, 0)
  expect(peak).toBeGreaterThanOrEqual(now)
  forgetPeak([process.pid])
  expect(memoryOf([process.pid]).peak).toBeLessThanOrEqual(peak + 2 ** 26)
})

it('knows the children of a process, and takes one that has ended for nothing', async () => {
  const shell = spawn('sh', ['-c', 'sleep 60 & echo started; wait'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const pid = shell.pid ?? 0
  await once(shell.stdout, 'data')
  const tree = processTree(pid)
  expect(tree[0]).toBe(pid)
  expect(tree).toHaveLength(2)
  expect(processTree(process.pid)).toEqual(expect.arrayContaining([...tree]))
  const ended = once(shell, 'close')
  for (const each of tree.toReversed()) process.kill(each, 'SIGKILL')
  await ended
  expect(cpuSeconds([pid])).toBe(0)
  expect(memoryOf([pid])).toEqual({ now: 0, peak: 0 })
})
