// What nodes are asked and what they tell, as the parts of the client see it: whoever answers for them.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { CheckDemands } from '../../wire/batch/check-demands.ts'
import type { ToldAnswer } from '../../wire/batch/answer-batch.ts'
import type { CacheSample } from '../../wire/batch/cache-sample.ts'
import type { NodeConfig } from '../../wire/batch/news.ts'

export type { ToldAnswer as NodeAnswer, ToldGrant as NodeGrant } from '../../wire/batch/answer-batch.ts'
export type { NodeConfig }

/** By which the node is chosen that is asked. */
export interface Affinity {
  /** What requests with the same answers have in common. */
  readonly affinity: string
  /** Whose requests share a part of the nodes, where they have parts. */
  readonly tenant: string
}

/** A cache of which nodes are told what it would find at other sizes. */
export interface SampledCache {
  sample(): CacheSample
  /** A node says how many answers it should keep. */
  recommended(entries: number): void
}

export interface NodeQuestion extends Affinity, CheckDemands {
  /** As the caller sent it: nodes bring paths and hosts into normal form by themselves. */
  readonly bag: AttributeBag
  /** For all nodes that are tried together, in ms. */
  readonly timeoutMs: number
}

export interface Nodes {
  /**
   * Asks the node that has the answer most likely, and another one where that gives none. Rejects with an IntermixError:
   * `retryable` where no node could be asked or judged the request in time.
   */
  ask(question: NodeQuestion): Promise<ToldAnswer>
  /** The config of the node that would be asked; of another one where it has told none; `undefined` before the first word of any. */
  config(affinity: Affinity): NodeConfig | undefined
  /** The oldest answer that may be given now, in ms: less where it is not sure that all revocations are known. */
  maxAgeMs(): number
  /** One unary gRPC call, the message as it is. Rejects as `ask` does, and with the status that a node gave as an IntermixError. */
  call(path: string, message: Uint8Array, how: Affinity & { readonly timeoutMs: number }): Promise<Uint8Array>
}
