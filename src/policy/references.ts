// What the answer to one request depended on, for callers that keep answers.

import type { ReadCollector } from '../cache/read-collector.ts'
import { type AttributeBag, CompletedBag } from '../kernel/attribute-bag.ts'
import { type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'
import { isAmbiguous } from '../kernel/value.ts'

/**
 * The references of the request that is answered, in order and each once. Reads are of the completed bag, and the same
 * for every request that the same kept answer serves; references are of the request's own attributes, and each has its
 * own. A read that met a generated value depended on the request having none under that name, and on all that the
 * generators read. So everything that is EXACT here is in the request, and everything that is ABSENCE is not.
 * @param request its completed bag, and what generating read of it
 */
export function referencesOf(
  request: { readonly bag: AttributeBag; readonly inputs: ReadCollector | undefined },
  ...reads: readonly (readonly ReferencedAttribute[])[]
): readonly ReferencedAttribute[] {
  const { bag, inputs } = request
  const [first = [], ...others] = reads
  // Reads are in this order already, and each is there once.
  if (inputs === undefined && others.every((list) => list.length === 0)) return first
  const found = new Map<string, ReferencedAttribute>()
  for (const list of reads) {
    for (const read of list) {
      const own = bag instanceof CompletedBag && bag.isGenerated(read.name) ? absenceOf(read.name) : read
      found.set(referenceId(own), own)
    }
  }
  for (const read of inputs?.referenced() ?? []) found.set(referenceId(read), read)
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reference]) => reference)
}

/** Whether a read met an attribute that is unknown, or an ambiguous entry: nobody may keep what came of it. */
export function metUnknown(bag: AttributeBag, reads: readonly ReferencedAttribute[]): boolean {
  return reads.some(({ name, key, whole }) => {
    return bag.unknown?.(name) !== undefined || ((whole || key !== undefined) && isAmbiguous(bag.get(name), key))
  })
}

function absenceOf(name: string): ReferencedAttribute {
  return { name, key: undefined, condition: 'ABSENCE', whole: false }
}
