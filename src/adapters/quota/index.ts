// Quotas that all nodes share: limits of many kinds, counted in Redis, in nodes ahead of need, and in nodes alone while Redis
// is away.

import {
  defineAdapter,
  type AdapterEnvironment,
  type EndedCharge,
  type Handler,
  type LimitStanding,
  type QuotaCharge,
  type QuotaResult,
} from '../../adapter-kit/define-adapter.ts'
import type { LimitCharge, LimitOutcome, LimitRule, PlaceLeft } from '../../adapter-kit/limits.ts'
import { spendableMs } from '../../adapter-kit/spendable.ts'
import { dimensionsOf, isQuotaNameOf, LimitResolver } from '../../adapter-kit/quota-limits.ts'
import type { InstanceOf } from '../../adapter-kit/template.ts'
import type { quota as quotaTemplate } from '../../adapter-kit/templates/checks.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Code, OK_STATUS, type Status } from '../../kernel/status.ts'
import { config, holdsUntilEnd, ruleOf, validate } from './config.ts'

/** What one charge of a quota comes to: a charge of each of its limits. */
interface Asked {
  readonly charges: readonly LimitCharge[]
  readonly name: string
  readonly accuracy: number
}

export default defineAdapter({
  name: 'quota',
  description: 'Limits that all nodes share: per second to per year, in flight, allocated',
  templates: ['quota'],
  config,
  doesIo: true,
  staleIfErrorMs: 0,
  validate,
  holdsUntilEnd,
  create(params, env): Handler {
    const limits = () => limitsOf(env)
    const configured = params.quotas.map((quota) => ({
      ...quota,
      rules: quota.limits.map(ruleOf),
      overrides: quota.overrides.map((override) => ({ ...override, rules: override.limits.map(ruleOf) })),
    }))
    const known = new LimitResolver(configured)
    const asked = ({ instance, request }: QuotaCharge<InstanceOf<typeof quotaTemplate>>): Asked => {
      const { quota, override, key, shortName: name } = known.resolve(instance)
      const { accuracy, redisAway: away } = quota
      const rules = (override ?? quota).rules
      const limit = (index: number) => limitName(name, index, rules.length)
      const charges = rules.flatMap((rule, index): LimitCharge[] =>
        // A rate limit would be lifted by what is given back.
        request.amount < 0 && !isHeld(rule)
          ? []
          : [
              {
                key: counterKey(quota.name, key, index),
                group: key,
                rule,
                amount: request.amount,
                accuracy,
                away,
                name: () => ({ limit: limit(index), values: dimensionsOf(instance) }),
              },
            ],
      )
      return { charges, name, accuracy }
    }
    const placesOf = ({
      instance,
      deduplicationId: id,
    }: EndedCharge<InstanceOf<typeof quotaTemplate>>): PlaceLeft[] => {
      const { quota, override, key } = known.resolve(instance)
      return (override ?? quota).rules.flatMap(({ algorithm }, index) =>
        algorithm === 'concurrency' ? [{ key: counterKey(quota.name, key, index), group: key, id }] : [],
      )
    }
    return {
      quota: {
        quota: (instance, request, { deadline }) => {
          const each = asked({ instance, request })
          if (each.charges.length === 0) return NOTHING_HELD
          const mode = request.bestEffort ? 'part' : 'all'
          const options = { mode, id: request.deduplicationId, deadline } as const
          const outcomes = limits().charge(each.charges, options)
          return outcomes instanceof Promise ? outcomes.then((done) => resultOf(each, done)) : resultOf(each, outcomes)
        },
      },
      quotaReset: {
        quota: async (instance) => {
          const request = { amount: 0, bestEffort: false, deduplicationId: '' }
          const { charges } = asked({ instance, request })
          return (await limits().reset?.({ counters: charges })) ?? 0
        },
      },
      async quotaResetAll(instance) {
        const quotas = configured.filter(({ name }) => instance === undefined || isQuotaNameOf(name, instance))
        let count = 0
        for (const { name } of quotas) count += (await limits().reset?.({ startingWith: keyStart(name) })) ?? 0
        return count
      },
      quotaTogether: {
        quota: (charges, { deadline }) => {
          const all = charges.map((charge) => asked(charge as QuotaCharge<InstanceOf<typeof quotaTemplate>>))
          const id = charges[0]?.request.deduplicationId ?? ''
          const outcomes = limits().charge(
            all.flatMap((each) => each.charges),
            { mode: 'all', id, deadline },
          )
          return outcomes instanceof Promise ? outcomes.then((done) => resultsOf(all, done)) : resultsOf(all, outcomes)
        },
      },
      quotaUnused: {
        quota: async (unused) => {
          const charges = unused.flatMap(({ instance, amount }) => {
            const request = { amount: 0, bestEffort: false, deduplicationId: '' }
            const each = asked({ instance, request })
            return each.charges.map((charge) => ({ ...charge, amount: -amount }))
          })
          await limits().giveBack?.(charges)
        },
      },
      quotaEnded: {
        quota: (ended) =>
          limits().leave(ended.flatMap((each) => placesOf(each as EndedCharge<InstanceOf<typeof quotaTemplate>>))),
      },
    }
  },
})

const NOTHING_HELD: QuotaResult = {
  status: { code: Code.INVALID_ARGUMENT, message: 'a rate limit takes no amounts back' },
  granted: 0,
  validForMs: 0,
}

/** What callers and operators call a limit. */
function limitName(quota: string, index: number, count: number): string {
  return count === 1 ? quota : `${quota}-${index + 1}`
}

function counterKey(quota: string, key: string, index: number): string {
  return `${keyStart(quota)}${key}.${index}`
}

/** What the keys of all counters of a quota begin with. */
function keyStart(quota: string): string {
  return `${quota.slice(0, 100)}|`
}

function isHeld({ algorithm }: LimitRule): boolean {
  return algorithm === 'concurrency' || algorithm === 'allocation'
}

function limitsOf({ limits }: AdapterEnvironment) {
  if (limits === undefined) throw new IntermixError('NOT_READY', 'there is nothing that counts limits')
  return limits
}

function resultsOf(all: readonly Asked[], outcomes: readonly LimitOutcome[]): QuotaResult[] {
  let at = 0
  return all.map((each) => {
    const own = outcomes.slice(at, (at += each.charges.length))
    return resultOf(each, own)
  })
}

function resultOf({ charges, name, accuracy }: Asked, outcomes: readonly LimitOutcome[]): QuotaResult {
  const wanted = charges[0]?.amount ?? 0
  const limits = outcomes.flatMap((outcome, index) =>
    isUnasked(outcome, wanted)
      ? []
      : [standingOf(limitName(name, index, outcomes.length), charges[index]?.rule, outcome, accuracy)],
  )
  // Each limit is asked for the same, and grants the same.
  const granted = outcomes[0]?.granted ?? 0
  const isRefused = wanted > 0 && granted === 0
  const isOver = outcomes.some(({ isExceeded }) => isExceeded)
  const status: Status =
    isRefused && isOver ? { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' } : OK_STATUS
  const resets = outcomes.map(({ resetMs }) => resetMs)
  return { status, granted, validForMs: Math.ceil(Math.min(...resets)), limits }
}

/** Where a limit was not asked, since one before it has refused, nobody knows how it stands. */
function isUnasked({ granted, isExceeded, left }: LimitOutcome, wanted: number): boolean {
  return wanted > 0 && granted === 0 && !isExceeded && left < wanted
}

function standingOf(name: string, rule: LimitRule | undefined, outcome: LimitOutcome, accuracy: number): LimitStanding {
  const { left, resetMs, retryAfterMs } = outcome
  const windowMs = rule !== undefined && 'windowMs' in rule ? { windowMs: rule.windowMs } : {}
  const usable = rule === undefined || isHeld(rule) ? {} : { usableMs: usableMs(rule, outcome, accuracy) }
  return { name, amount: rule?.amount ?? 0, ...windowMs, left, resetMs, retryAfterMs, ...usable }
}

/** A bucket that refills all the time has no window within which what was charged could be used. */
function usableMs(rule: LimitRule, outcome: LimitOutcome, accuracy: number): number {
  return accuracy === 0 || rule.algorithm === 'gcra' ? 0 : Math.max(0, spendableMs(rule, outcome))
}
