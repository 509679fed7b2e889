// Quotas counted in this process: exact for one node, and gone with it.

import { z } from 'zod'
import {
  defineAdapter,
  type Handler,
  type QuotaCharge,
  type QuotaRequest,
  type QuotaResult,
} from '../../adapter-kit/define-adapter.ts'
import { duplicateQuotas, LimitResolver } from '../../adapter-kit/quota-limits.ts'
import { goDuration } from '../../adapter-kit/schema.ts'
import { usableOfWindow } from '../../adapter-kit/spendable.ts'
import type { QuotaInstance } from '../../adapter-kit/templates.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Generations } from '../../kernel/generations.ts'
import { MEMQUOTA_REFUSED_TOTAL } from '../../kernel/metrics/handlers.ts'
import { Code, OK_STATUS } from '../../kernel/status.ts'
import { type Counter, Counters } from './counters.ts'

/** Grants that are remembered, of each of two periods. */
const MOST_REMEMBERED = 100_000

const limit = {
  maxAmount: z.int().min(0),
  /** 0: an allocation quota, which is used until it is given back. */
  validDuration: goDuration().default(0),
}

const config = z.strictObject({
  quotas: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        ...limit,
        overrides: z.array(z.strictObject({ dimensions: z.record(z.string(), z.string()), ...limit })).default([]),
      }),
    )
    .default([]),
  minDeduplicationDuration: goDuration({ minMs: 1 }).default(1_000),
  /** Counters, one for each quota and combination of dimension values. */
  maxCounters: z.int().min(1).default(10_000),
})

export default defineAdapter({
  name: 'memquota',
  description: 'Counts quotas in this process',
  templates: ['quota'],
  config,
  doesIo: false,
  staleIfErrorMs: 0,
  oneProcess: { insteadUse: 'redisquota' },
  validate: ({ quotas }) => duplicateQuotas(quotas),
  create(params, { clock, meter, handlerName }): Handler {
    const counters = new Counters(params.maxCounters)
    const limits = new LimitResolver(params.quotas)
    const refused = meter.counter(MEMQUOTA_REFUSED_TOTAL)({ handler: handlerName })
    const granted = new Generations<QuotaResult>(params.minDeduplicationDuration, MOST_REMEMBERED)
    const counterOf = (key: string, windowMs: number, now: number) => {
      const counter = counters.get(key, windowMs, now)
      if (counter !== undefined) return counter
      refused.add()
      throw new IntermixError('OVERLOADED', `all ${params.maxCounters} counters are in use; see maxCounters`)
    }
    const chargeOne = ({ instance, request }: QuotaCharge<QuotaInstance>, now: number): Charged => {
      const { quota, override, key, shortName: name } = limits.resolve(instance)
      const id = `${key} ${request.deduplicationId}`
      // A look is no call that is repeated, and says nothing of one.
      const isRemembered = request.deduplicationId !== '' && request.amount !== 0
      const before = isRemembered ? granted.get(id, now) : undefined
      if (before !== undefined) {
        const result = { ...before, granted: Math.min(before.granted, Math.max(0, request.amount)) }
        return { result, keep: () => undefined, undo: () => undefined }
      }
      const { maxAmount, validDuration: windowMs } = override ?? quota
      const counter = counterOf(key, windowMs, now)
      const result = charge(counter, { request, maxAmount, windowMs, now, name })
      counters.changed(key, windowMs, counter, now)
      return {
        result,
        keep: () => {
          if (isRemembered) granted.set(id, result, now)
        },
        undo: () => {
          counter.add(-result.granted, now)
          counters.changed(key, windowMs, counter, now)
        },
      }
    }
    return {
      quota: {
        quota: (instance, request) => {
          const { result, keep } = chargeOne({ instance, request }, clock.monotonic())
          keep()
          return result
        },
      },
      quotaReset: {
        quota: (instance) => counters.forget(limits.resolve(instance).key),
      },
      quotaTogether: {
        quota: (charges) => {
          const now = clock.monotonic()
          const done: Charged[] = []
          const undo = () => {
            for (const each of done) each.undo()
          }
          for (const each of charges) {
            try {
              done.push(chargeOne(each, now))
            } catch (error) {
              undo()
              throw error
            }
          }
          const isRefused = done.some(({ result }) => result.status.code !== 0)
          if (isRefused) undo()
          else for (const { keep } of done) keep()
          return done.map(({ result }) =>
            isRefused && result.status.code === 0 ? { ...result, granted: 0, validForMs: 0 } : result,
          )
        },
      },
    }
  },
})

/** What came of a charge. It can be undone until another one has come. */
interface Charged {
  readonly result: QuotaResult
  /** Remembers it for those who try again. */
  readonly keep: () => void
  readonly undo: () => void
}

interface Charge {
  readonly request: QuotaRequest
  readonly maxAmount: number
  readonly windowMs: number
  readonly now: number
  /** For callers. */
  readonly name: string
}

function charge(counter: Counter, { request, maxAmount, windowMs, now, name }: Charge): QuotaResult {
  const { amount, bestEffort } = request
  const used = counter.used(now)
  const validForMs = Math.floor(windowMs)
  if (amount < 0) {
    if (windowMs > 0) {
      const message = 'only an allocation quota (validDuration 0) takes amounts back'
      return { status: { code: Code.INVALID_ARGUMENT, message }, granted: 0, validForMs: 0 }
    }
    counter.add(-Math.min(used, -amount), now)
    return { status: OK_STATUS, granted: amount, validForMs }
  }
  const free = Math.max(0, maxAmount - used)
  const given = amount <= free ? amount : bestEffort ? free : 0
  counter.add(given, now)
  const isRefused = given === 0 && amount > 0
  const limits = [
    {
      name,
      amount: maxAmount,
      ...(windowMs > 0 ? { windowMs, usableMs: usableOfWindow(windowMs) } : {}),
      left: free - given,
      resetMs: counter.resetMs(now),
      retryAfterMs: !isRefused
        ? 0
        : amount > maxAmount
          ? Number.POSITIVE_INFINITY
          : counter.waitMs(used + amount - maxAmount, now),
    },
  ]
  if (!isRefused) return { status: OK_STATUS, granted: given, validForMs, limits }
  const status = { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' }
  return { status, granted: 0, validForMs: 0, limits }
}
