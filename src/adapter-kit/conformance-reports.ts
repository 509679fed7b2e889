// The cases of the conformance suite for batches that a backend does not take: what the adapter says of them decides what
// the exporter chain does with them.

import assert from 'node:assert/strict'
import { IntermixError } from '../kernel/errors.ts'
import type { ConformanceCase, ReportBackends, Subject } from './conformance-case.ts'
import { DEFAULT_EXPORT_LIMITS } from './exporter/limits.ts'
import type { Parts } from './exporter/parts.ts'
import { retryByClass } from './exporter/retry.ts'
import type { Outcome } from './exporter/sending-queue.ts'
import { withTimeout } from './exporter/timeout.ts'
import type { Instance } from './instance.ts'
import { reportResultProblem } from './results.ts'
import type { TemplateDefinition } from './template.ts'
import type { TestEnvironmentOptions } from './test-environment.ts'

type Batch = readonly Instance[]

const BATCH_SIZE = 3
const ASKED_MS = 7000
const TIMEOUT_MS = 1000

const answer =
  (status: number, headers: Record<string, string> = {}) =>
  (): Promise<Response> =>
    Promise.resolve(new Response('', { status, headers }))

/** As HTTP says it; an adapter that speaks otherwise gives backends of its own. */
const HTTP_BACKENDS = {
  permanent: answer(400),
  retryable: answer(503),
  throttled: answer(429, { 'retry-after': String(ASKED_MS / 1000) }),
} satisfies ReportBackends

const PARTS: Parts<Batch> = {
  size: (batch) => batch.length,
  pick: (batch, places) => places.flatMap((place) => batch[place] ?? []),
}

/** Runs a case between start and stop of its handler. */
type Using = (overrides: TestEnvironmentOptions, use: (subject: Subject) => Promise<void>) => Promise<void>

export interface ReportCasesOptions {
  readonly backends: ReportBackends | undefined
  readonly using: Using
  readonly instanceFor: (subject: Subject) => Instance
  readonly named: (what: string, run: () => Promise<void>) => ConformanceCase
}

/** The cases for one template of variety report. An adapter whose backend is none of the environment's passes them. */
export function reportCases(template: TemplateDefinition, options: ReportCasesOptions): readonly ConformanceCase[] {
  const { backends: own, using, instanceFor, named } = options
  const backends = { ...HTTP_BACKENDS, ...own }
  const tried = (overrides: TestEnvironmentOptions, judge: (outcome: Outcome<Batch>) => void) => () =>
    using(overrides, async (subject) => {
      const before = subject.env.fetches.length
      const outcome = await deliver(subject, template, instanceFor(subject))
      if (overrides.fetch === undefined || subject.env.fetches.length > before) judge(outcome)
    })
  const cases = [
    named(
      'has a batch end that its backend refuses for good',
      tried({ fetch: backends.permanent }, (outcome) => assert.equal(ending(outcome), 'refused', seen(outcome))),
    ),
    named(
      'has a batch given again that its backend fails to take',
      tried({ fetch: backends.retryable }, (outcome) => assert.equal(outcome.kind, 'again', seen(outcome))),
    ),
    named(
      'has a batch given again that its counters cannot take',
      tried({ counters: brokenCounters }, (outcome) => assert.notEqual(outcome.kind, 'ended', seen(outcome))),
    ),
    named(
      'has the queue wait as long as a throttling backend asks',
      tried({ fetch: backends.throttled }, (outcome) => {
        const pauseMs = outcome.kind === 'again' ? (outcome.pauseMs ?? 0) : 0
        assert.ok(pauseMs >= (own?.throttledMs ?? ASKED_MS), `it waits ${pauseMs} ms; ${seen(outcome)}`)
      }),
    ),
  ]
  const { partly, tooLarge } = backends
  if (partly !== undefined) {
    const judge = (outcome: Outcome<Batch>) => assert.deepEqual(sizesOf(outcome), [1, 1, 1], seen(outcome))
    cases.push(named('says which instances of a batch its backend took', tried({ fetch: partly }, judge)))
  }
  if (tooLarge !== undefined) {
    const judge = (outcome: Outcome<Batch>) => assert.deepEqual(sizesOf(outcome), [0, 0, BATCH_SIZE], seen(outcome))
    cases.push(named('has a batch go on in halves that is too large', tried({ fetch: tooLarge }, judge)))
  }
  return cases
}

const gone = () => Promise.reject(new IntermixError('REDIS_UNAVAILABLE', 'Redis is away'))
const brokenCounters: NonNullable<TestEnvironmentOptions['counters']> = { apply: gone, held: gone, forget: gone }

/** One try of a batch of a few instances, by the chain that every batch goes through. */
function deliver({ handler, env }: Subject, { name }: TemplateDefinition, sample: Instance): Promise<Outcome<Batch>> {
  const push = async (batch: Batch, call: Parameters<Parameters<typeof withTimeout>[0]>[1]) => {
    const result = await handler.report?.[name]?.(batch, { ...call, batchId: 'conformance-2' })
    assert.equal(reportResultProblem(result, batch.length), undefined)
    return result
  }
  const { clock, random } = env
  const { retries } = DEFAULT_EXPORT_LIMITS
  const send = withTimeout(push, { clock, timeoutMs: TIMEOUT_MS, name: env.handlerName })
  const batch = Array.from({ length: BATCH_SIZE }, () => sample)
  return retryByClass(send, PARTS, { clock, random, retries })(batch, { before: 0, ageMs: 0, takenOver: false })
}

function ending(outcome: Outcome<Batch>): string {
  return outcome.kind === 'ended' ? outcome.why : outcome.kind
}

/** How many instances were delivered, have ended, and go on. */
function sizesOf(outcome: Outcome<Batch>): readonly number[] {
  if (outcome.kind !== 'part') return []
  const { delivered, ended, rest, more } = outcome
  const sum = (batches: readonly Batch[]) => batches.reduce((total, { length }) => total + length, 0)
  return [delivered, sum(ended.map(({ batch }) => batch)), sum([rest, ...more])]
}

function seen(outcome: Outcome<Batch>): string {
  const error = 'error' in outcome ? outcome.error : undefined
  return `the batch was ${outcome.kind}${error instanceof Error ? `, for: ${error.message}` : ''}`
}
