// What callers that keep answers are told of one: who else may have it, and for how long.

import type { StoredAnswer } from '../cache/answer-cache.ts'
import { ReadCollector } from '../cache/read-collector.ts'
import type { PathStep } from '../cache/shape-tree.ts'
import { type CheckOptions, type CheckOutcome, MAX_USES } from '../kernel/services.ts'
import { type Answer, DEFAULT_STALE_FOR_MS } from '../kernel/verdict.ts'
import { shapeOf } from './answer-shape.ts'
import type { PolicyRequest } from './policy-request.ts'
import { metUnknown } from './references.ts'
import type { Ahead } from './rule-quotas.ts'

/** A kept answer, and the way that its evaluation went. */
export type KeptFor = Pick<StoredAnswer, 'epoch' | 'parts' | 'freshUntil' | 'isUseBound'> & {
  readonly steps: readonly PathStep[]
}

export type Told = Required<Pick<CheckOutcome, 'shape' | 'staleForMs' | 'isPaid' | 'usesUnbound'>>

export const NOT_TOLD: Told = { shape: undefined, staleForMs: 0, isPaid: false, usesUnbound: false }
const PAID: Told = { ...NOT_TOLD, isPaid: true }

/** Of an answer that was paid for by nobody. */
export function toldOf(call: PolicyRequest, kept: KeptFor, steps: readonly PathStep[] = kept.steps): Told {
  const shape = shapeOf(call, steps, kept.epoch)
  return shape === undefined
    ? NOT_TOLD
    : { shape, staleForMs: staleForMs(kept), isPaid: false, usesUnbound: !kept.isUseBound }
}

/** As long as every verdict in it may be; what no handler has said hangs on the config alone. */
function staleForMs({ parts, freshUntil }: KeptFor): number {
  if (parts.length === 0) return DEFAULT_STALE_FOR_MS
  let until = Number.POSITIVE_INFINITY
  for (const { staleUntil } of parts) until = Math.min(until, staleUntil)
  return Math.max(0, Math.floor(until - freshUntil))
}

/**
 * Of an answer that may have been charged.
 * @param charged what has become of it: the same where nothing was charged
 * @param same `undefined` where nobody may keep it
 */
export function toldCharged(answer: Answer, charged: Answer, same: SameCharges | undefined): Told {
  if (charged === answer) return same?.all ?? NOT_TOLD
  const told = charged.status.code === 0 ? PAID : NOT_TOLD
  // What was paid for ends when its window does, and a refusal when the limit has room again: neither is stale then.
  return charged.validUses === 0 || same === undefined ? told : { ...told, shape: same.all.shape }
}

/** Finds out, while a request is charged, who else would be charged the same for the same answer. */
export class SameCharges implements Ahead {
  /** Hears what choosing and making the charges reads. */
  readonly log = new ReadCollector()
  readonly uses: number
  readonly #call: PolicyRequest<CheckOptions>
  readonly #kept: KeptFor
  #known: Told | undefined

  constructor(call: PolicyRequest<CheckOptions>, kept: KeptFor) {
    this.#call = call
    this.#kept = kept
    this.uses = Math.min(MAX_USES, call.options.uses ?? 1)
  }

  mayKeep(): boolean {
    return this.all.shape !== undefined
  }

  /** Of the answer where nothing was charged for it; its shape is that of one that was charged, too. */
  get all(): Told {
    return (this.#known ??= metUnknown(this.#call.bag, this.log.referenced())
      ? NOT_TOLD
      : toldOf(this.#call, this.#kept, [...this.#kept.steps, ...this.log.steps]))
  }
}
