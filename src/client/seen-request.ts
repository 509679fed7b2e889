// A request as it is looked up and asked about.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { CheckOptions } from '../kernel/services.ts'
import { NormalRequestBag } from '../wire/normal-request-bag.ts'
import { type AffinityChoice, BagAffinity } from './affinity.ts'
import type { Wanted } from './first-level-cache.ts'
import type { NodeConfig, Nodes } from './nodes/nodes.ts'

export interface SeenRequest {
  /** As the caller sent it. */
  readonly bag: AttributeBag
  /** As policy sees it; `undefined` where it has two readings, or no node has told how it sees requests. */
  readonly wanted: Wanted | undefined
  readonly affinity: BagAffinity
}

/** @throws AmbiguousRequest (INVALID_REQUEST) as nodes do */
export function seenRequest(
  bag: AttributeBag,
  charging: CheckOptions['charging'] = 'all',
  { choice, nodes }: { readonly choice: AffinityChoice; readonly nodes: Pick<Nodes, 'config'> },
): SeenRequest {
  const affinity = new BagAffinity(bag, choice)
  const config = nodes.config(affinity)
  const seen = config === undefined ? undefined : seenBy(config, bag)
  return { bag, wanted: config && seen && { config: config.id, charging, bag: seen }, affinity }
}

/** `undefined` where it is to be judged by more than one reading, or by one that a later version has brought. */
function seenBy(
  { normalizes, allowedAmbiguities, isUnknown }: NodeConfig,
  bag: AttributeBag,
): AttributeBag | undefined {
  if (isUnknown === true) return undefined
  if (!normalizes) return bag
  const normal = new NormalRequestBag(bag, allowedAmbiguities)
  return normal.unresolved() === undefined ? normal : undefined
}
