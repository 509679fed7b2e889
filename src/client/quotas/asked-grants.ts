// Asks nodes for quotas alone. What a node does not grant, for whatever reason, is granted to nobody: callers take a quota of
// which they hear nothing for one that nobody limits.

import { IntermixError } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { QuotaDemand } from '../../kernel/services.ts'
import { Code } from '../../kernel/status.ts'
import type { NodeGrant, NodeQuestion, Nodes } from '../nodes/nodes.ts'
import type { Grants } from './decided-quotas.ts'

/** Of a quota that the node says nothing about. */
export const NOT_GRANTED: NodeGrant = {
  status: { code: Code.INTERNAL, message: 'the node did not say what it grants of the quota' },
  granted: 0,
  validForMs: 0,
  shape: undefined,
}

/** The same after a while: what is left of its life is less, in whole milliseconds. */
export function grantAfter(grant: NodeGrant, ms: number): NodeGrant {
  return { ...grant, validForMs: Math.max(0, Math.floor(grant.validForMs - ms)) }
}

export function grantsAfter(grants: Grants, ms: number): Grants {
  return new Map(Array.from(grants, ([name, grant]) => [name, grantAfter(grant, ms)]))
}

/**
 * A grant for each quota that the question names, with what is left of its life: that went on while it was on its way, nobody
 * knows for how long. Rejects with the node's failure where it gave no answer, and with
 * INVALID_REQUEST where it refused the question for what it is.
 */
export async function askForGrants(
  { nodes, clock }: { readonly nodes: Pick<Nodes, 'ask'>; readonly clock: Pick<Clock, 'monotonic'> },
  question: NodeQuestion & { readonly quotas: ReadonlyMap<string, QuotaDemand> },
): Promise<Grants> {
  const askedAt = clock.monotonic()
  const { answer, grants } = await nodes.ask({ ...question, quotasOnly: true })
  if (answer.status.code !== Code.OK) throw new IntermixError('INVALID_REQUEST', answer.status.message)
  const all = new Map<string, NodeGrant>()
  for (const name of question.quotas.keys()) all.set(name, grants.get(name) ?? NOT_GRANTED)
  return grantsAfter(all, clock.monotonic() - askedAt)
}
