// Which processes have to do with each other in the ledger: found once for all of them, which may be thousands.

import type { NodeFacts } from './ledger-facts.ts'

export interface NodeRelations {
  /** Processes of a node. */
  readonly ofNode: (node: string) => readonly NodeFacts[]
  /** Processes that queued what a process had accepted, itself among them. */
  readonly queuers: (process: string) => readonly NodeFacts[]
}

const known = new WeakMap<readonly NodeFacts[], NodeRelations>()

/** The relations among all processes of one look. */
export function relationsOf(nodes: readonly NodeFacts[]): NodeRelations {
  let found = known.get(nodes)
  if (found === undefined) known.set(nodes, (found = findRelations(nodes)))
  return found
}

function findRelations(nodes: readonly NodeFacts[]): NodeRelations {
  const byNode = Map.groupBy(nodes, ({ node }) => node)
  const byOrigin = new Map<string, NodeFacts[]>()
  for (const node of nodes) {
    for (const origin of Object.keys(node.queued)) {
      const queuers = byOrigin.get(origin)
      if (queuers === undefined) byOrigin.set(origin, [node])
      else queuers.push(node)
    }
  }
  return { ofNode: (node) => byNode.get(node) ?? [], queuers: (process) => byOrigin.get(process) ?? [] }
}
