// Tries a config as a node would use it: reads and compiles it with the same code, then evaluates the corpus. Runs in a
// thread of its own, and may be ended at any point.

import type { AnyAdapter } from '../../adapter-kit/define-adapter.ts'
import { loadConfigTexts } from '../../config/config-texts.ts'
import { compileSnapshot } from '../../config/compile-snapshot.ts'
import { RuleSelector } from '../../config/rule-index.ts'
import { atOnce } from '../../config/slices.ts'
import type { RuleConfig, Snapshot } from '../../config/snapshot.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { Problem } from '../../kernel/problem.ts'
import { loadDomains } from '../../quota/descriptors/load-domains.ts'
import { type CorpusBag, corpus } from './corpus.ts'
import { dryRun } from './dry-run.ts'
import { type PreflightOutcome, type PreflightRequest, refusal } from './preflight-report.ts'
import { UnknownRules } from './unknown-rules.ts'

/** What the examination needs of its thread, and tells it. */
export interface Examining {
  /** Milliseconds that never step back. */
  monotonic(): number
  /** Processor time of the thread, in ms. */
  processorMs(): number
  /** Memory in use, in bytes, after a collection. */
  memory(): number
  /** Hears the names of the rules, by whose places `entered` calls them. */
  named(rules: readonly string[]): void
  /** The rule that is evaluated from now on. */
  entered(place: number): void
}

const MAX_PROBLEMS = 100
/** A bag that takes too long is tried so often: a collection or a busy machine is no fault of the config. */
const TRIES = 3

/** Examines a config. Throws only what says that something is wrong with this code, or with an adapter of others. */
export function examine(
  { name, files, recorded, compile, limits }: PreflightRequest,
  adapters: ReadonlyMap<string, AnyAdapter>,
  thread: Examining,
): PreflightOutcome {
  const startedAt = thread.monotonic()
  const memoryBefore = thread.memory()
  const loaded = loadConfigTexts(name, files)
  const { snapshot, problems } = compileSnapshot(loaded, { ...compile, adapters })
  const domains = loadDomains({ config: loaded })
  const all = [...problems, ...domains.problems.filter((problem) => !problems.includes(problem))]
  const errors = all.filter(({ severity }) => severity === 'error')
  if (snapshot === undefined || errors.length > 0) {
    const message = `the config has ${errors.length} ${errors.length === 1 ? 'error' : 'errors'}`
    return refusal('invalid', message, { problems: errors.slice(0, MAX_PROBLEMS) })
  }
  const rules = atOnce(RuleSelector.build(snapshot))
  const compileMs = thread.monotonic() - startedAt
  const memoryBytes = Math.max(0, thread.memory() - memoryBefore)
  const tried = tryBags(snapshot, rules, { recorded, limits }, thread)
  if ('ok' in tried) return tried
  const evaluateMs = thread.monotonic() - startedAt - compileMs
  const warnings: readonly Problem[] = all.slice(0, MAX_PROBLEMS)
  return { ok: true, figures: { rules: snapshot.rules.length, compileMs, evaluateMs, memoryBytes, ...tried, warnings } }
}

function tryBags(
  snapshot: Snapshot,
  rules: RuleSelector,
  { recorded, limits }: Pick<PreflightRequest, 'recorded' | 'limits'>,
  thread: Examining,
) {
  const places = new Map<RuleConfig, number>(snapshot.rules.map((rule, place) => [rule, place]))
  thread.named(snapshot.rules.map((rule) => rule.name))
  const unknowns = new UnknownRules()
  const counts = { recorded: 0, madeUp: 0, slowestMs: 0 }
  let rule: RuleConfig | undefined
  const run = ({ bag, recorded: isRecorded }: CorpusBag, isFirst: boolean): number => {
    const before = thread.processorMs()
    dryRun(rules, bag, {
      enter(entered) {
        rule = entered
        thread.entered(places.get(entered) ?? -1)
      },
      unknown: (failed, failure, what) => isFirst && unknowns.add(failed, failure, { what, isRecorded }),
    })
    return thread.processorMs() - before
  }
  for (const each of corpus(snapshot, recorded)) {
    if (counts.recorded + counts.madeUp >= limits.bags) break
    try {
      let took = run(each, true)
      for (let tries = 1; took > limits.evaluationMs && tries < TRIES; tries++) took = Math.min(took, run(each, false))
      if (took > limits.evaluationMs) {
        const message = `one request takes ${Math.round(took)} ms of the processor; at most ${limits.evaluationMs} ms are allowed`
        return refusal('slow', message)
      }
      counts.slowestMs = Math.max(counts.slowestMs, took)
    } catch (error) {
      const message = `evaluating fails: ${messageOf(error)}`
      return refusal('throws', message, { rule: rule?.name })
    }
    if (each.recorded) counts.recorded++
    else counts.madeUp++
  }
  return { ...counts, unknowns: unknowns.list() }
}
