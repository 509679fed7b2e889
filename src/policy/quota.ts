// Quotas that ride on a check: each is granted by the first rule, in rule order, that matches and names it.

import { hash } from 'node:crypto'
import type { QuotaResult } from '../adapter-kit/define-adapter.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import { shortName } from '../adapter-kit/quota-limits.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { InstanceConfig, RuleConfig } from '../config/snapshot.ts'
import { EvaluationError } from '../expression/compiled.ts'
import type { AnswerShape } from '../kernel/answer-shape.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { QuotaDemand, QuotaGrant } from '../kernel/services.ts'
import { OK_STATUS } from '../kernel/status.ts'
import { suggest } from '../kernel/suggest.ts'
import type { HandlerTable } from './handler-table.ts'
import { refusedMs, usableMs } from './charged-ahead.ts'
import { metUnknown } from './references.ts'
import { evaluationFailure, matchRule } from './rule-match.ts'
import { isRefusal, type RunningHandler } from './running-handler.ts'

/** Mixer's clients make a UUID and add a number. */
const LONGEST_ID = 256

/** A quota that no rule limits for a request is granted in full for a minute, as Mixer did. */
const UNLIMITED_VALID_MS = 60_000

/**
 * Asks for one quota. A failing handler grants nothing and says so, unless the rule's fail policy is open.
 * @param tell makes a shape of what the grant depended on, where the caller keeps grants: those that others may have too
 */
export async function grantQuota(
  demand: QuotaDemand & { readonly name: string; readonly deduplicationId: string },
  rules: readonly RuleConfig[],
  bag: AttributeBag,
  context: { readonly handlers: HandlerTable; readonly deadline: number; readonly known: QuotaNames },
  tell?: (name: string, reads: ReadCollector) => AnswerShape | undefined,
): Promise<QuotaGrant> {
  if (!context.known.has(demand.name)) return undefinedQuota(demand.name, context.known)
  const reads = new ReadCollector()
  const found = findQuota(demand.name, rules, bag, reads)
  const finish = (grant: QuotaResult, sharedMs = 0): QuotaGrant => {
    const referenced = reads.referenced()
    if (metUnknown(bag, referenced)) return { ...grant, validForMs: 0, referenced }
    const shape = sharedMs > 0 ? tell?.(demand.name, reads) : undefined
    return shape === undefined ? { ...grant, referenced } : { ...grant, validForMs: sharedMs, referenced, shape }
  }
  if (found === undefined)
    return finish({ status: OK_STATUS, granted: demand.amount, validForMs: UNLIMITED_VALID_MS }, UNLIMITED_VALID_MS)
  const { rule, config, handler, failure } = found
  try {
    if (failure !== undefined) throw failure
    const { result, ownId } = await ask(config, context.handlers.get(handler), demand, bag, reads, context.deadline)
    return finish(result, ownId === '' ? sharedMs(result, demand) : 0)
  } catch (caught) {
    const error = IntermixError.from(caught)
    const open = rule.failPolicy === 'open'
    const status = open ? OK_STATUS : { code: error.status.code, message: `${handler}:${error.message}` }
    return finish({ status, granted: open ? demand.amount : 0, validForMs: 0 })
  }
}

/** The quotas that a config has, by the names that callers have for them. */
export interface QuotaNames {
  has(name: string): boolean
  /** Short names, for people. */
  readonly all: readonly string[]
}

/** To grant what nobody defined would be to lift a limit for a slip of the pen. */
function undefinedQuota(name: string, { all }: QuotaNames): QuotaGrant {
  const hint = suggest(name, all) || ` Known: ${all.slice(0, 10).join(', ')} …`
  const known = all.length === 0 ? ': this config has none.' : `.${hint}`
  const message = `no quota is named ${JSON.stringify(name.slice(0, 100))}${known}`
  return { status: new IntermixError('INVALID_REQUEST', message).status, granted: 0, validForMs: 0, referenced: [] }
}

async function ask(
  config: InstanceConfig,
  running: RunningHandler | undefined,
  demand: QuotaDemand & { readonly name: string; readonly deduplicationId: string },
  bag: AttributeBag,
  reads: ReadCollector,
  deadline: number,
): Promise<{ readonly result: QuotaResult; readonly ownId: string }> {
  const instance = config.build(bag, reads)
  if (instance instanceof EvaluationError) throw evaluationFailure(config.name, instance)
  if (running === undefined) throw new IntermixError('INTERNAL', 'the handler is not running')
  const { amount, bestEffort } = demand
  // Who says no id of its own has that of the instance, as rules have it: so callers give back what these have charged.
  const ownId = ownIdOf(instance)
  const given = demand.deduplicationId === '' ? ownId : demand.deduplicationId
  const result = await running.quota(instance, { amount, bestEffort, deduplicationId: demandId(given) }, deadline)
  return { result, ownId }
}

/** For how long, in ms, others may have a part of what was granted, or are refused as this one; 0 where each is to ask itself. */
function sharedMs(result: QuotaResult, { amount }: QuotaDemand): number {
  const { limits = [], validForMs } = result
  // What is left is refused to nobody who asks for less.
  if (amount > 0 && isRefusal(result, amount)) return limits.some(({ left }) => left < 1) ? refusedMs(limits) : 0
  return Math.min(validForMs, usableMs(limits))
}

/** What an instance says is the same for each retry; empty where it says nothing. */
export function ownIdOf({ fields }: Instance): string {
  const { deduplicationId } = fields
  return typeof deduplicationId === 'string' ? deduplicationId : ''
}

/** An id as handlers hear it. Callers choose it, and handlers keep it for a while: a long one is kept as its hash. */
export function demandId(id: string): string {
  return id.length <= LONGEST_ID ? id : hash('sha256', id, 'base64url')
}

/** Tells a quota from all others: the same instance counts by itself at each handler. */
export function quotaId(handler: string, { name }: InstanceConfig): string {
  return `${handler}\n${name}`
}

/** The quotas that are granted to whoever names these; the same instance at other handlers is not among them. */
export function namedQuotas(names: Iterable<string>, rules: readonly RuleConfig[], bag: AttributeBag): Set<string> {
  const ids = new Set<string>()
  for (const name of names) {
    const found = findQuota(name, rules, bag, undefined)
    if (found !== undefined) ids.add(quotaId(found.handler, found.config))
  }
  return ids
}

interface Found {
  readonly rule: RuleConfig
  readonly config: InstanceConfig
  readonly handler: string
  /** Why it is unknown whether the rule applies: under a fail policy that is closed nothing is granted then. */
  readonly failure: IntermixError | undefined
}

function findQuota(
  name: string,
  rules: readonly RuleConfig[],
  bag: AttributeBag,
  reads: ReadCollector | undefined,
): Found | undefined {
  const wanted = name.toLowerCase()
  for (const rule of rules) {
    for (const { handler, instances } of rule.actions) {
      for (const config of instances) {
        if (config.template.variety !== 'quota' || !isNamed(config, wanted)) continue
        // The match has been counted, where it fails, when the check was answered.
        const isMatch = matchRule(rule, bag, reads, () => undefined)
        const found = { rule, config, handler: handler.name, failure: undefined }
        if (isMatch === false) continue
        // A match that a caller can make fail lifts no limit: what may apply is charged, or granted to nobody.
        if (isMatch === true || rule.failPolicy === 'open') return found
        return { ...found, failure: evaluationFailure(`match of ${rule.name}`, isMatch) }
      }
    }
  }
  return undefined
}

/** Callers name a quota by the short name of its instance, in any case. */
function isNamed(config: InstanceConfig, wanted: string): boolean {
  const full = config.name.toLowerCase()
  return full === wanted || shortName(full) === wanted
}
