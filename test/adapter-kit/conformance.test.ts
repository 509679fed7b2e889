import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  adapterConformance,
  type AdapterDefinition,
  type CheckResult,
  defineAdapter,
  type Handler,
} from '../../src/adapter-kit/index.ts'

const allow: CheckResult = { status: { code: 0, message: '' }, validForMs: 1_000, validUses: 1 }
const sound = defineAdapter({
  name: 'sound',
  description: 'Allows',
  templates: ['checknothing'],
  config: z.strictObject({}),
  doesIo: false,
  create: () => ({ check: { checknothing: () => allow } }),
})

async function failures(adapter: AdapterDefinition, options = {}): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of adapterConformance(adapter, options)) {
    await run().catch((error: unknown) => failed.push(`${name} (${(error as Error).message})`))
  }
  return failed
}

const answering = (checknothing: () => unknown): AdapterDefinition => ({
  ...sound,
  create: () => ({ check: { checknothing } }) as unknown as Handler,
})

let count = 0

describe('the conformance suite', () => {
  it('passes a sound adapter', async () => {
    expect(await failures(sound)).toEqual([])
  })

  it.each<[string, AdapterDefinition, RegExp]>([
    ['a bad name', { ...sound, name: 'Not Sound' }, /lower-case/],
    ['an unknown template', { ...sound, templates: ['nonsense' as 'quota'] }, /"nonsense" is none of/],
    [
      'a batch size of none',
      { ...sound, reportLimits: { maxInstances: 0 } },
      /reportLimits.maxInstances: must be at least 1/,
    ],
    ['a misspelt limit', { ...sound, reportLimits: { batch: 1 } as object }, /reportLimits: .*"batch"/],
    ['a schema that swallows misspelt params', { ...sound, config: z.object({}) }, /misspelt/],
    [
      'a fetch before start',
      {
        ...sound,
        create: (config, env) => (void env.fetch('http://x/').catch(() => 0), sound.create(config as {}, env)),
      },
      /must not act/,
    ],
    [
      'a schedule before start',
      { ...sound, create: (config, env) => (env.schedule(1, () => undefined), sound.create(config as {}, env)) },
      /must not act/,
    ],
    ['a declared template without a method', { ...sound, create: () => ({}) }, /declares/],
    ['a code out of range', answering(() => ({ status: { code: 17, message: '' } })), /0 to 16/],
    ['a message that is none', answering(() => ({ status: { code: 7 } })), /message/],
    ['an infinite validity', answering(() => ({ ...allow, validForMs: Number.POSITIVE_INFINITY })), /validForMs/],
    ['a negative validity', answering(() => ({ ...allow, validForMs: -1 })), /validForMs/],
    ['half a use', answering(() => ({ ...allow, validUses: 0.5 })), /validUses/],
    ['an answer that is none', answering(() => undefined), /status/],
    ['a changing answer', answering(() => ({ ...allow, validUses: (count += 1) })), /same question/],
    [
      'a foreign error',
      answering(() => {
        throw new TypeError('oops')
      }),
      /IntermixError only/,
    ],
    [
      'a stop that fails the second time',
      {
        ...sound,
        create: (config, env) => {
          let stopped = false
          const stop = () => {
            if (stopped) throw new Error('stopped before')
            stopped = true
          }
          return { ...sound.create(config as {}, env), stop }
        },
      },
      /stopped before/,
    ],
    [
      'a timer that outlives stop',
      {
        ...sound,
        create: (config, env) => ({
          ...sound.create(config as {}, env),
          start: () => void env.clock.after(1_000, () => undefined),
        }),
      },
      /cancel timers/,
    ],
    [
      'an allow that was made up while the backend is down',
      {
        ...sound,
        create: (_config, env) => ({
          check: {
            checknothing: (_instance, { signal }) =>
              env.fetch('http://x/', { signal }).then(
                () => allow,
                () => allow,
              ),
          },
        }),
      },
      /must not allow/,
    ],
  ])('finds %s', async (_name, adapter, message) => {
    expect((await failures(adapter)).join('\n')).toMatch(message)
  })

  it('finds a call that hangs although it was given up', { timeout: 10_000 }, async () => {
    const hanging = answering(() => new Promise(() => undefined))
    const cases = adapterConformance(hanging).filter(({ name }) => name.includes('given up'))
    expect(cases).toHaveLength(1)
    await expect(cases[0]?.run()).rejects.toThrow(/hangs/)
  })
})
