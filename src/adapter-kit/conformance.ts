// What every adapter must hold to, as cases for any test runner: `it.each(adapterConformance(…))('$name', ({ run }) => run())`.

import assert from 'node:assert/strict'
import { adapterProblems } from './adapter-shape.ts'
import { callCases } from './conformance-calls.ts'
import type { ConformanceCase, ConformanceOptions, Subject } from './conformance-case.ts'
import type { AnyAdapter, AnyHandler } from './define-adapter.ts'
import { createTestEnvironment, ManualClock, type TestEnvironmentOptions } from './test-environment.ts'
import { VARIETIES } from './template.ts'
import { templatesOf } from './templates.ts'

/** All cases for an adapter. Each one builds its own handler, so they may run in any order. */
export function adapterConformance(adapter: AnyAdapter, options: ConformanceOptions = {}): readonly ConformanceCase[] {
  const build = (overrides: TestEnvironmentOptions = {}) => buildSubject(adapter, options, overrides)
  return [
    {
      name: 'declares itself soundly',
      run: async () => assert.deepEqual(adapterProblems(adapter), []),
    },
    {
      name: 'accepts its params, leaves them as they are and refuses unknown ones',
      run: async () => checkParams(adapter, options.params ?? {}),
    },
    {
      name: 'touches nothing before it is started',
      run: async () => {
        const { env, clock } = build()
        const touched = { fetches: env.fetches, schedules: env.schedules.length, exposed: [...env.exposed.keys()] }
        assert.deepEqual(touched, { fetches: [], schedules: 0, exposed: [] }, 'create must not act: wait for start')
        assert.equal(clock.pending, 0, 'create must not set timers: wait for start')
      },
    },
    {
      name: 'handles exactly the templates that it declares',
      run: async () => assert.deepEqual(handledTemplates(build().handler), [...templatesOf(adapter).keys()].sort()),
    },
    {
      name: 'stops without a start, twice, and leaves no timer behind',
      run: async () => {
        const idle = build()
        await idle.handler.stop?.()
        await idle.handler.stop?.()
        const used = build()
        await used.handler.start?.()
        await used.handler.stop?.()
        await used.handler.stop?.()
        assert.equal(used.clock.pending, 0, 'stop must cancel timers')
      },
    },
    ...[...templatesOf(adapter).values()].flatMap((template) => callCases(template, build, options)),
  ]
}

function buildSubject(adapter: AnyAdapter, options: ConformanceOptions, overrides: TestEnvironmentOptions): Subject {
  const clock = new ManualClock()
  const { fetch, redis, limits } = options
  const env = createTestEnvironment({
    clock,
    ...(fetch === undefined ? {} : { fetch }),
    ...(redis === undefined ? {} : { redis }),
    ...(limits === undefined ? {} : { limits }),
    ...overrides,
  })
  return { adapter, handler: adapter.create(parse(adapter, options.params ?? {}), env), env, clock, options }
}

function parse(adapter: AnyAdapter, params: unknown): unknown {
  const parsed = adapter.config.safeParse(params)
  const issues = parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  assert.ok(parsed.success, `the params are refused: ${issues?.join('; ')}`)
  return parsed.data
}

function checkParams(adapter: AnyAdapter, params: Readonly<Record<string, unknown>>): void {
  const before = structuredClone(params)
  const config = parse(adapter, params)
  assert.deepEqual(params, before, 'parsing must not change what the operator wrote')
  assert.deepEqual(adapter.validate?.(config) ?? [], [], 'valid params must have no issues')
  const misspelt = adapter.config.safeParse({ ...params, noSuchParam: true })
  assert.ok(!misspelt.success, 'a misspelt param must be refused: use z.strictObject')
}

function handledTemplates(handler: AnyHandler): readonly string[] {
  return VARIETIES.flatMap((variety) => Object.entries(handler[variety] ?? {}))
    .filter(([, method]) => typeof method === 'function')
    .map(([template]) => template)
    .sort()
}
