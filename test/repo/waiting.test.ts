// Tests wait for what they wait for, or move a clock of their own: a fixed time is too short on a busy machine, and too
// long on every other.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const TESTS = join(import.meta.dirname, '..')
const SLEEP = /(?<![.\w])setTimeout\(|\bsetTimeout\b.*timers\/promises|useFakeTimers|Atomics\.wait\(/
/** What a timer is for where there may be one. */
const TIMERS: Readonly<Record<string, string>> = {
  'helpers/filter-module.ts': 'polls another process that compiles',
  'helpers/flaky-proxy.ts': 'the latency of a network',
  'helpers/process.ts': 'polls a port until a deadline; deadlines',
  'kernel/system-clock.test.ts': 'the order of the timers of the clock itself',
  'redis/support.ts': 'polls a condition until a deadline',
  'whole/doors/doors.ts': 'a pause between tries, of which there are so many',
  'whole/filter/scenarios.ts': 'how long nodes are away, while requests come',
  'whole/filter/world.ts': 'polls a condition until a deadline',
  'whole/intermix.ts': 'polls a process until a deadline',
  'whole/ratelimit/differential.ts': 'waits for the next second, by the clock of programs that are asked',
  'whole/rollout/mesh.ts': 'the rate of requests',
}

it('no test sleeps', () => {
  const files = globSync('**/*.ts', { cwd: TESTS }).filter((file) => file !== 'repo/waiting.test.ts')
  const sleeping = files.filter((file) => SLEEP.test(readFileSync(join(TESTS, file), 'utf8')))
  expect(sleeping.toSorted()).toEqual(Object.keys(TIMERS))
  expect(SLEEP.test('await new Promise((resolve) => setTimeout(resolve, 100))')).toBe(true)
})
