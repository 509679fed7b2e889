// The cases of the conformance suite that call a handler: answers, repetition, missing fields, outages, cancelled calls.

import assert from 'node:assert/strict'
import { IntermixError } from '../kernel/errors.ts'
import type { ConformanceCase, ConformanceOptions, Subject } from './conformance-case.ts'
import { sampleFields } from './conformance-samples.ts'
import type { CallContext, QuotaRequest } from './define-adapter.ts'
import type { Instance } from './instance.ts'
import { reportCases } from './conformance-reports.ts'
import { attributesProblem, checkResultProblem, quotaResultProblem, reportResultProblem } from './results.ts'
import type { TemplateDefinition } from './template.ts'
import { createCall, type TestEnvironmentOptions } from './test-environment.ts'

type Build = (overrides?: TestEnvironmentOptions) => Subject
type Outcome = { readonly result: unknown } | { readonly error: IntermixError }

const REQUEST: QuotaRequest = { amount: 2, bestEffort: false, deduplicationId: 'conformance-1' }
const PROMPTLY_MS = 2_000

/** The cases for one template of an adapter. */
export function callCases(
  template: TemplateDefinition,
  build: Build,
  { reportBackends }: ConformanceOptions,
): readonly ConformanceCase[] {
  const named = (what: string, run: () => Promise<void>) => ({ name: `${template.name}: ${what}`, run })
  const cases = [
    named('gives a well-formed answer, and the same one to the same question', () =>
      using(build(), async (subject) => {
        const first = await call(subject, template, sampleInstance(subject, template))
        assert.ok('result' in first, `no answer, but: ${'error' in first ? first.error.message : ''}`)
        const second = await call(subject, template, sampleInstance(subject, template))
        assert.deepEqual(second, first, 'the same question must have the same answer while nothing has changed')
      }),
    ),
    named('survives an instance without fields', () =>
      using(build(), async (subject) => void (await call(subject, template, instanceOf(template, {})))),
    ),
    named('fails with an IntermixError, and does not allow, when its backend is out of reach', () =>
      using(build({ fetch: () => Promise.reject(new TypeError('connection refused')) }), async (subject) => {
        const outcome = await call(subject, template, sampleInstance(subject, template))
        if (template.variety !== 'check' || subject.env.fetches.length === 0 || 'error' in outcome) return
        const { status } = outcome.result as { readonly status: { readonly code: number } }
        assert.notEqual(status.code, 0, 'an answer made up without the backend must not allow')
      }),
    ),
    named('settles promptly when the call is given up', () =>
      using(build({ fetch: silentUntilAborted }), async (subject) => {
        const context = createCall(subject.env, 1_000, AbortSignal.abort())
        await promptly(call(subject, template, sampleInstance(subject, template), context))
      }),
    ),
  ]
  return template.variety === 'report'
    ? [
        ...cases,
        named('takes an empty batch', () => emptyBatch(template, build)),
        ...reportCases(template, {
          backends: reportBackends,
          using: (overrides, use) => using(build(overrides), use),
          instanceFor: (subject) => sampleInstance(subject, template),
          named,
        }),
      ]
    : cases
}

async function emptyBatch(template: TemplateDefinition, build: Build): Promise<void> {
  await using(build(), async ({ handler, env }) => {
    const report = methodOf(handler.report, template)
    await report([], { ...createCall(env), batchId: 'empty' })
  })
}

/** Runs a case between start and stop of its handler. */
async function using(subject: Subject, use: (subject: Subject) => Promise<void>): Promise<void> {
  // With a silent backend, start may wait for its own timeout: let the clock bring it on.
  const started = Promise.resolve(subject.handler.start?.()).catch(onlyIntermixErrors)
  await Promise.race([started, moveOn(subject)])
  await started
  try {
    await use(subject)
  } finally {
    await subject.handler.stop?.()
  }
}

async function moveOn(subject: Subject): Promise<void> {
  for (let i = 0; i < 10; i++) await subject.clock.advance(0)
  if (subject.clock.pending > 0) await subject.clock.advance(120_000)
}

async function call(
  subject: Subject,
  template: TemplateDefinition,
  instance: Instance,
  context: CallContext = createCall(subject.env),
): Promise<Outcome> {
  try {
    return { result: await invoke(subject, template, instance, context) }
  } catch (error) {
    return { error: onlyIntermixErrors(error) }
  }
}

function onlyIntermixErrors(error: unknown): IntermixError {
  if (error instanceof assert.AssertionError) throw error
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
  assert.ok(error instanceof IntermixError, `an adapter must throw IntermixError only, it threw: ${what}`)
  return error
}

async function invoke({ handler }: Subject, template: TemplateDefinition, instance: Instance, context: CallContext) {
  let result: unknown
  let problem: string | undefined
  switch (template.variety) {
    case 'check':
      result = await methodOf(handler.check, template)(instance, context)
      problem = checkResultProblem(result)
      break
    case 'quota':
      result = await methodOf(handler.quota, template)(instance, REQUEST, context)
      problem = quotaResultProblem(result, REQUEST)
      break
    case 'attributes':
      result = await methodOf(handler.attributes, template)(instance, context)
      problem = attributesProblem(result, template)
      break
    case 'report':
      result = await methodOf(handler.report, template)([instance], { ...context, batchId: 'conformance-1' })
      problem = reportResultProblem(result, 1)
      break
  }
  assert.equal(problem, undefined)
  return result
}

type Method = (...args: readonly unknown[]) => unknown

function methodOf(methods: object | undefined, template: TemplateDefinition): Method {
  const method = (methods as Readonly<Record<string, Method>> | undefined)?.[template.name]
  assert.ok(typeof method === 'function', `there is no method for ${template.name}`)
  return method.bind(methods)
}

function sampleInstance({ options }: Subject, template: TemplateDefinition): Instance {
  return instanceOf(template, options.fields?.[template.name] ?? sampleFields(template))
}

function instanceOf(template: TemplateDefinition, fields: Instance['fields']): Instance {
  return { name: `sample.instance.default`, template: template.name, fields }
}

const silentUntilAborted: typeof fetch = (_input, init) =>
  new Promise((_resolve, reject) => {
    const fail = () => reject(new DOMException('This operation was aborted', 'AbortError'))
    if (init?.signal?.aborted === true) fail()
    else init?.signal?.addEventListener('abort', fail, { once: true })
  })

/** Fails where a promise has not settled after a while of real time: nothing but a hang takes so long. */
async function promptly(pending: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new assert.AssertionError({ message: 'the call hangs although its signal has aborted' }))
    timer = setTimeout(fail, PROMPTLY_MS)
  })
  try {
    await Promise.race([pending, late])
  } finally {
    clearTimeout(timer)
  }
}
