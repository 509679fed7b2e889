// A pool of a quota as it is found for requests, and what is asked of it.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { QuotaDemand } from '../../kernel/services.ts'
import { Code, type Status } from '../../kernel/status.ts'
import type { Affinity, NodeGrant } from '../nodes/nodes.ts'
import type { KeptPool } from './pool-index.ts'
import type { QuotaPrefetch } from './quota-prefetch.ts'

/** Quotas that a request is to be charged. */
export interface QuotaCall extends Affinity {
  /** Names the config of the node that would be asked. */
  readonly config: string
  /** The request as the caller sent it, and as policy sees it. */
  readonly bag: AttributeBag
  readonly seen: AttributeBag
  readonly demands: ReadonlyMap<string, QuotaDemand>
  /** The same for each retry: what was decided here is not charged again. */
  readonly deduplicationId?: string | undefined
  /** How long the caller waits, in ms. */
  readonly timeoutMs: number
}

/** One quota of a call. */
export interface Charge {
  readonly call: QuotaCall
  readonly name: string
  readonly demand: QuotaDemand
}

export interface Pool {
  readonly amounts: QuotaPrefetch
  /** What is told to whoever is refused without asking. */
  refusal: Status
}

export type Kept = KeptPool<Pool>

export const USED_UP: Status = { code: Code.RESOURCE_EXHAUSTED, message: 'the quota is used up' }

/** Whether it says nothing of what is left: that is the handler's failure, or a mistake of the caller. */
export function isFailure({ status, granted }: NodeGrant): boolean {
  return granted <= 0 && status.code !== Code.OK && status.code !== Code.RESOURCE_EXHAUSTED
}

/** What those are told who come next, of a node that granted no more. */
export function refusalOf({ status }: NodeGrant): Status {
  return status.code === Code.OK ? USED_UP : status
}

/** When it is worth to ask again after a refusal, as far as the node has said. */
export function retryOf({ granted, validForMs }: NodeGrant): { readonly retryAfterMs?: number } {
  return granted === 0 && validForMs > 0 ? { retryAfterMs: validForMs } : {}
}
