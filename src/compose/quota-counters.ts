// Answers operators' questions of quotas, for all processes that count.

import { IntermixError } from '../kernel/errors.ts'
import type { Siblings } from '../kernel/siblings.ts'
import {
  type QuotaAnswer,
  QuotaCounters,
  type QuotaCountersOptions,
  type QuotaQuestion,
} from '../policy/quota-counters.ts'

const NAME = 'quota-counters'

export interface SharedQuotaCountersOptions extends QuotaCountersOptions {
  readonly siblings: Siblings | undefined
  /** Name of this process. */
  readonly process: string
}

/**
 * With Redis each process answers for all. Without it the node's processes count each by itself: all are asked, and a counter
 * is there once for each.
 */
export function createQuotaCounters(
  options: SharedQuotaCountersOptions,
): (question: QuotaQuestion) => Promise<QuotaAnswer> {
  const own = new QuotaCounters(options)
  const { siblings, process, usage } = options
  if (siblings === undefined || usage.isShared) return (question) => own.answer(question)
  const answer = async (question: QuotaQuestion): Promise<QuotaAnswer> => {
    const { counters, ...rest } = await own.answer(question)
    return { ...rest, counters: counters.map((counter) => ({ ...counter, process })) }
  }
  siblings.answer(NAME, (question) =>
    answer(question as QuotaQuestion).catch((error: unknown) => ({ failed: IntermixError.from(error).message })),
  )
  return async (question) => {
    const first = await answer(question)
    const { answers, silent } = await siblings.ask(NAME, question)
    const others = [...answers.values()].filter((each) => each !== undefined) as (QuotaAnswer | { failed: string })[]
    const failed = others.flatMap((each) => ('failed' in each ? [each.failed] : []))
    if (failed.length > 0 || silent.length > 0)
      throw new IntermixError('NOT_READY', `not all processes answered: ${[...failed, ...silent].join(', ')}`)
    const all = [first, ...(others as QuotaAnswer[])]
    return {
      counters: all.flatMap(({ counters }) => counters),
      ...(first.reset === undefined ? {} : { reset: all.reduce((sum, { reset = 0 }) => sum + reset, 0) }),
    }
  }
}
