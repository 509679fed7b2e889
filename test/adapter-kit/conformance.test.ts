import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  adapterConformance,
  type AdapterDefinition,
  type CallContext,
  type CheckResult,
  type ConformanceOptions,
  defineAdapter,
  type Handler,
  IntermixError,
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

  const posting = (judge: (response: Response) => unknown): AdapterDefinition => ({
    ...sound,
    templates: ['metric'],
    create: (_config, env) =>
      ({
        report: {
          metric: async (_instances: unknown, { signal }: CallContext) => {
            const response = await env.fetch('http://x/', { signal }).catch(() => {
              throw new IntermixError('BACKEND_FAILED', 'out of reach')
            })
            return judge(response)
          },
        },
      }) as unknown as Handler,
  })
  const failure = (code: 'BACKEND_FAILED' | 'BACKEND_REFUSED', retryAfterMs?: number) => {
    throw new IntermixError(code, 'no', { retryAfterMs })
  }
  const heedful = ({ status }: Response) => {
    if (status === 400) failure('BACKEND_REFUSED')
    if (status === 429) failure('BACKEND_FAILED', 7000)
    if (status >= 500) failure('BACKEND_FAILED')
  }
  const fine: ConformanceOptions = { fetch: () => Promise.resolve(new Response('')) }

  it('passes an adapter of reports that tells its failures apart', async () => {
    expect(await failures(posting(heedful), fine)).toEqual([])
  })

  it.each<[string, (response: Response) => unknown, RegExp, ConformanceOptions?]>([
    ['a refusal that is tried again', ({ ok }) => ok || failure('BACKEND_FAILED', 7000), /refuses for good .*again/],
    ['a failure that is final', ({ ok }) => ok || failure('BACKEND_REFUSED'), /fails to take .*ended/],
    ['a failure that is taken for success', () => undefined, /fails to take .*delivered/],
    [
      'a throttling backend that is not heard',
      (response) => (response.status === 429 ? failure('BACKEND_FAILED') : heedful(response)),
      /throttling backend asks \(it waits 0 ms/,
    ],
    ['an answer of a report that is none', () => ({ failed: 3 }), /a list of what failed/],
    [
      'instances that a backend did not take and nobody heard of',
      heedful,
      /which instances of a batch/,
      { ...fine, reportBackends: { partly: () => Promise.resolve(new Response('1 of 3')) } },
    ],
  ])('finds %s', async (_name, judge, message, options = fine) => {
    expect((await failures(posting(judge), options)).join('\n')).toMatch(message)
  })

  it('finds a call that hangs although it was given up', async () => {
    const hanging = answering(() => new Promise(() => undefined))
    const cases = adapterConformance(hanging).filter(({ name }) => name.includes('given up'))
    expect(cases).toHaveLength(1)
    await expect(cases[0]?.run()).rejects.toThrow(/hangs/)
  })
})
