// Quotas counted in this process: exact for one node, and gone with it.

import { z } from 'zod'
import { defineAdapter, type Handler, type QuotaRequest, type QuotaResult } from '../../adapter-kit/define-adapter.ts'
import { duplicateQuotas, resolveLimit } from '../../adapter-kit/quota-limits.ts'
import { goDuration } from '../../adapter-kit/schema.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { MEMQUOTA_REFUSED_TOTAL } from '../../kernel/metrics/handlers.ts'
import { Code, OK_STATUS } from '../../kernel/status.ts'
import { type Counter, Counters } from './counters.ts'
import { Deduplication } from './deduplication.ts'

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
    const refused = meter.counter(MEMQUOTA_REFUSED_TOTAL)({ handler: handlerName })
    const granted = new Deduplication<QuotaResult>(params.minDeduplicationDuration)
    const counterOf = (key: string, windowMs: number, now: number) => {
      const counter = counters.get(key, windowMs, now)
      if (counter !== undefined) return counter
      refused.add()
      throw new IntermixError('OVERLOADED', `all ${params.maxCounters} counters are in use; see maxCounters`)
    }
    return {
      quota: {
        quota: (instance, request) => {
          const now = clock.monotonic()
          const { quota, override, key } = resolveLimit(params.quotas, instance)
          const id = `${key} ${request.deduplicationId}`
          const before = request.deduplicationId === '' ? undefined : granted.get(id, now)
          if (before !== undefined) return before
          const { maxAmount, validDuration } = override ?? quota
          const counter = counterOf(key, validDuration, now)
          const result = charge(counter, { request, maxAmount, windowMs: validDuration, now })
          counters.changed(key, validDuration, counter, now)
          if (request.deduplicationId !== '') granted.set(id, result, now)
          return result
        },
      },
    }
  },
})

interface Charge {
  readonly request: QuotaRequest
  readonly maxAmount: number
  readonly windowMs: number
  readonly now: number
}

function charge(counter: Counter, { request, maxAmount, windowMs, now }: Charge): QuotaResult {
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
  if (given > 0 || amount === 0) return { status: OK_STATUS, granted: given, validForMs }
  return { status: { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' }, granted: 0, validForMs: 0 }
}
