// Which namespace a request belongs to, where that can be said.

import { type EvaluationError, unknownRead } from '../expression/compiled.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'

export const SOURCE_NAMESPACE = 'source.namespace'
export const DESTINATION_NAMESPACE = 'destination.namespace'
const REPORTER_KIND = 'context.reporter.kind'
const OUTBOUND = 'outbound'

/** The attribute that holds the request's namespace: the source's for an outbound reporter, else the destination's. */
export function namespaceAttribute(bag: AttributeBag, log?: ReadLog): string {
  const kind = bag.get(REPORTER_KIND)
  log?.attribute(REPORTER_KIND, kind)
  return kind === OUTBOUND ? SOURCE_NAMESPACE : DESTINATION_NAMESPACE
}

/** The request's namespace; `undefined` where it has none. */
export function namespaceOf(bag: AttributeBag): string | undefined {
  const namespace = bag.get(namespaceAttribute(bag))
  return typeof namespace === 'string' ? namespace : undefined
}

/** Why the namespace cannot be said: a rule that only applies to one may then apply or not. */
export function unknownNamespace(bag: AttributeBag, log?: ReadLog): EvaluationError | undefined {
  if (bag.unknown === undefined) return undefined
  const attribute = namespaceAttribute(bag)
  const failure =
    unknownRead(bag, REPORTER_KIND) ?? (bag.get(attribute) === undefined ? unknownRead(bag, attribute) : undefined)
  if (failure?.part !== undefined) log?.attribute(failure.part, undefined)
  return failure
}
