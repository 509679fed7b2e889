// Explains a check: which rules match and why the others do not, what instances hold, what handlers say, what was read.

import type { Instance } from '../adapter-kit/instance.ts'
import { fieldToJson, valueToText } from '../adapter-kit/value-text.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { VerdictOutcome } from '../cache/verdict-request.ts'
import { serves } from '../config/rule-purpose.ts'
import type { InstanceConfig, RuleConfig } from '../config/snapshot.ts'
import { type EqualityTerm, EvaluationError } from '../expression/compiled.ts'
import { type AttributeBag, CompletedBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { codeName } from '../kernel/status.ts'
import { RATE_LIMIT_HITS } from '../kernel/rate-limit-attributes.ts'
import { suggest } from '../kernel/suggest.ts'
import { isAmbiguous, isStringMap } from '../kernel/value.ts'
import { generateAttributes } from './attribute-generation.ts'
import type { SettledPart } from './combine.ts'
import { fillHeaders } from './header-operations.ts'
import type { PolicyState } from './handler-table.ts'
import { asDemand } from './rule-limits.ts'
import { matchRule } from './rule-match.ts'
import type { RunningHandler } from './running-handler.ts'

export interface ExplainDependencies {
  readonly clock: Clock
  readonly verdicts: Pick<VerdictCache, 'get'>
}

/** How much to show. */
export interface ExplainScope {
  /** Most rules, 100 by default: first those that the index takes for candidates, then others with what rules them out. */
  readonly limit?: number
  /** Full name of the only rule to show. */
  readonly rule?: string | undefined
}

/** An answer is read by a person: beyond this many characters of JSON, further rules are left out and counted. */
const MAX_SHOWN = 1_000_000
const MAX_READS = 1_000
const DEFAULT_RULES = 100

/**
 * The explanation as JSON; of a rate limit where the request has a `ratelimit.domain`. Handlers are asked as a check would ask them, cached verdicts included.
 * @throws IntermixError NOT_FOUND where no rule has the wished name
 */
export async function explainCheck(
  state: PolicyState,
  own: AttributeBag,
  timeoutMs: number,
  dependencies: ExplainDependencies,
  { limit = DEFAULT_RULES, rule: only }: ExplainScope = {},
): Promise<object> {
  const deadline = dependencies.clock.monotonic() + timeoutMs
  const inputs = new ReadCollector()
  const demand = asDemand(own)
  const generators = demand === undefined ? state.rules.attributes(own, inputs).rules : []
  const bag = await generateAttributes(demand ?? own, generators, state.handlers, {
    deadline,
    failures: { add: () => undefined },
    failed: 'unknown',
    log: inputs,
  })
  const reads = new ReadCollector()
  const purpose = demand === undefined ? 'check' : 'rateLimit'
  const candidates = state.rules[purpose](bag, reads)
  const chosen = new Set(candidates.rules.map((rule) => rule.name))
  const concerned = concernedRules(state, purpose, only)
  const rules: object[] = []
  let size = 0
  for (const rule of selected(concerned, chosen, limit)) {
    if (size > MAX_SHOWN) break
    const told = chosen.has(rule.name)
      ? await explainRule(rule, bag, reads, { state, deadline, ...dependencies })
      : { rule: rule.name, matched: false, because: whyRuledOut(rule, bag) }
    size += JSON.stringify(told).length
    rules.push(told)
  }
  return {
    snapshot: state.snapshot.id,
    generated: generatedIn(bag),
    unknown: unknownIn(bag),
    rules,
    count: {
      rules: concerned.length,
      candidates: concerned.filter(({ name }) => chosen.has(name)).length,
      leftOut: concerned.length - rules.length,
    },
    read: reads.steps.slice(0, MAX_READS).map(({ step, outcome }) => ({
      attribute: step.name,
      ...(step.key === undefined ? {} : { key: step.key }),
      ...(step.whole ? { whole: true } : {}),
      as: step.id.startsWith('p') ? step.id.slice(1) : 'value',
      outcome,
    })),
    scope: candidates.digest,
  }
}

/** The rules that say something about checks, or rate limits, or the one of this name. */
function concernedRules(
  { snapshot }: PolicyState,
  purpose: 'check' | 'rateLimit',
  name: string | undefined,
): RuleConfig[] {
  const all = snapshot.rules.filter((rule) => serves(rule, purpose))
  if (name === undefined) return all
  const named = all.filter((rule) => rule.name === name)
  if (named.length > 0) return named
  const names = all.map((rule) => rule.name)
  throw new IntermixError(
    'NOT_FOUND',
    `no rule for ${purpose === 'check' ? 'checks' : 'rate limits'} is called ${JSON.stringify(name.slice(0, 200))}.${suggest(name, names)}`,
  )
}

/** As many as may be shown, candidates before others, in the order of the config. */
function selected(rules: readonly RuleConfig[], chosen: ReadonlySet<string>, limit: number): RuleConfig[] {
  const candidates = rules.filter(({ name }) => chosen.has(name)).slice(0, limit)
  const others = rules.filter(({ name }) => !chosen.has(name)).slice(0, limit - candidates.length)
  const shown = new Set([...candidates, ...others])
  return rules.filter((rule) => shown.has(rule))
}

function isAsked(instance: InstanceConfig): boolean {
  return instance.template.variety === 'check' || instance.template.variety === 'quota'
}

function hasHeaders(rule: RuleConfig): boolean {
  return rule.requestHeaders.length + rule.responseHeaders.length > 0
}

interface RuleContext extends ExplainDependencies {
  readonly state: PolicyState
  readonly deadline: number
}

async function explainRule(
  rule: RuleConfig,
  bag: AttributeBag,
  reads: ReadCollector,
  context: RuleContext,
): Promise<object> {
  let failure: EvaluationError | undefined
  const value = matchRule(rule, bag, reads, (_rule, error) => {
    failure = error
  })
  const about = {
    rule: rule.name,
    match: rule.match?.source ?? 'always',
    mode: rule.mode,
    failPolicy: rule.failPolicy,
    matchFailure: rule.matchFailure,
  }
  if (failure !== undefined) {
    const matched = value instanceof EvaluationError ? 'unknown' : false
    return { ...about, matched, because: `match failed: ${failure.message}${placeOf(failure)}` }
  }
  if (value !== true) return { ...about, matched: false, because: whyRuledOut(rule, bag) }
  const actions = []
  const parts: SettledPart[] = []
  for (const { handler, instances, name } of rule.actions) {
    for (const config of instances.filter(isAsked)) {
      const { told, outcome } = await explainAction(config, handler.name, bag, reads, context)
      actions.push({ handler: handler.name, ...told })
      if (outcome !== undefined)
        parts.push({ rule, handler: handler.name, instance: config.name, action: name, outcome })
    }
  }
  return { ...about, matched: true, actions, ...explainHeaders(rule, parts, bag, reads) }
}

/** What the rule does to headers where the check is allowed, and the headers that lacked a value. */
function explainHeaders(
  rule: RuleConfig,
  parts: readonly SettledPart[],
  bag: AttributeBag,
  reads: ReadCollector,
): object {
  if (!hasHeaders(rule)) return {}
  const without = new Set<string>()
  const { request, response } = fillHeaders([rule], parts, bag, reads, { add: (_rule, header) => without.add(header) })
  return { whenAllowed: { requestHeaders: request, responseHeaders: response, withoutValue: [...without] } }
}

function placeOf({ part }: EvaluationError): string {
  return part === undefined ? '' : ` (at ${part})`
}

async function explainAction(
  config: InstanceConfig,
  handler: string,
  bag: AttributeBag,
  reads: ReadCollector,
  { state, verdicts, deadline, clock }: RuleContext,
): Promise<{ readonly told: object; readonly outcome?: VerdictOutcome }> {
  const instance = config.build(bag, reads)
  if (instance instanceof EvaluationError) {
    return { told: { instance: config.name, verdict: 'unknown', because: instance.message } }
  }
  const about = { instance: config.name, template: config.template.name, fields: fieldToJson(instance.fields) }
  const source = state.handlers.get(handler)
  if (source === undefined) return { told: { ...about, verdict: 'unknown', because: 'the handler is not running' } }
  if (config.template.variety === 'quota')
    return { told: { ...about, ...(await explainQuota(source, instance, bag, deadline)) } }
  const outcome = await verdicts.get({ source, instance, bag, deadline })
  return { told: { ...about, ...outcomeJson(outcome, clock) }, outcome }
}

/** How a quota stands, by a look that charges nothing. */
async function explainQuota(
  source: RunningHandler,
  instance: Instance,
  bag: AttributeBag,
  deadline: number,
): Promise<object> {
  const look = { amount: 0, bestEffort: false, deduplicationId: '' }
  const amount = Number(instance.fields['amount'] ?? bag.get(RATE_LIMIT_HITS) ?? 1n)
  try {
    const { status, limits = [] } = await source.quota(instance, look, deadline)
    const told = { status: { code: codeName(status.code), message: status.message }, amount, limits }
    if (status.code !== 0) return { verdict: 'deny', ...told }
    if (limits.length === 0) return { verdict: 'unknown', ...told, because: 'the adapter does not say what is left' }
    const over = limits.find(({ left }) => left < amount)
    const because = over === undefined ? {} : { because: `${over.name} has ${over.left} left of ${over.amount}` }
    return { verdict: over === undefined ? 'allow' : 'deny', ...told, ...because }
  } catch (caught) {
    return { verdict: 'unknown', amount, because: IntermixError.from(caught).message }
  }
}

function outcomeJson(outcome: VerdictOutcome, clock: Clock): object {
  if (outcome.entry === undefined) return { verdict: 'unknown', because: outcome.error.message }
  const { verdict, createdAt, freshUntil, staleUntil, usesLeft } = outcome.entry
  const offset = clock.now() - clock.monotonic()
  const time = (at: number) => new Date(at + offset).toISOString()
  return {
    verdict: verdict.kind,
    status: { code: codeName(verdict.status.code), message: verdict.status.message },
    tier: outcome.tier,
    createdAt: time(createdAt),
    freshUntil: time(freshUntil),
    staleUntil: time(staleUntil),
    usesLeft,
  }
}

function whyRuledOut(rule: RuleConfig, bag: AttributeBag): string {
  const failing = (rule.match?.equalityTerms ?? []).filter(
    (term) => isKnown(bag, term) && textOf(bag, term) !== valueToText(term.constant),
  )
  if (failing.length === 0) {
    const value = rule.match?.evaluate(bag)
    return value instanceof EvaluationError ? value.message : `${rule.match?.source ?? 'it'} is false`
  }
  return failing
    .map((term) => {
      const name = term.mapKey === undefined ? term.attribute : `${term.attribute}["${term.mapKey}"]`
      const found = textOf(bag, term)
      return `${name} is ${found === undefined ? 'absent' : `"${found}"`}, not "${valueToText(term.constant)}"`
    })
    .join('; ')
}

function isKnown(bag: AttributeBag, { attribute, mapKey }: EqualityTerm): boolean {
  return bag.unknown?.(attribute) === undefined && !isAmbiguous(bag.get(attribute), mapKey)
}

function textOf(bag: AttributeBag, { attribute, mapKey }: EqualityTerm): string | undefined {
  const value = bag.get(attribute)
  if (value === undefined) return undefined
  if (mapKey === undefined) return valueToText(value)
  return typeof value === 'object' && isStringMap(value) ? value.get(mapKey) : undefined
}

function generatedIn(bag: AttributeBag): Readonly<Record<string, string>> {
  const generated: Record<string, string> = {}
  if (!(bag instanceof CompletedBag)) return generated
  for (const name of bag.names()) {
    const value = bag.isGenerated(name) ? bag.get(name) : undefined
    if (value !== undefined) generated[name] = valueToText(value)
  }
  return generated
}

/** The attributes that generators failed to give, and why. */
function unknownIn(bag: AttributeBag): Readonly<Record<string, string>> {
  if (!(bag instanceof CompletedBag)) return {}
  return Object.fromEntries(Array.from(bag.unknowns, ([name, { message }]) => [name, message]))
}
