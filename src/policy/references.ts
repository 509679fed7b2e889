// What the answer to one request depended on, for callers that keep answers.

import { LRUCache } from 'lru-cache'
import type { ReadCollector } from '../cache/read-collector.ts'
import { type AttributeBag, CompletedBag } from '../kernel/attribute-bag.ts'
import { type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'
import { isAmbiguous } from '../kernel/value.ts'
import type { Place } from './selection-trace.ts'

/** What the answer to a request can be traced back to beside the reads of its evaluation. */
interface Traced {
  readonly bag: AttributeBag
  readonly inputs: ReadCollector | undefined
  readonly selection: Place | undefined
}

/**
 * The references of the request that is answered, in order and each once; the same list for the same reads, where nothing
 * was generated. Reads are of the completed bag, and the same for every request that the same kept answer serves;
 * references are of the request's own attributes, and each has its own. A read that met a generated value depended on the
 * request having none under that name, and on all that the generators read. So everything that is EXACT here is in the
 * request, and everything that is ABSENCE is not.
 * @param request its completed bag, what generating read of it, and what choosing the rules did
 * @param reads of the evaluation, in order and each once
 */
export function referencesOf(
  { bag, inputs, selection }: Traced,
  reads: readonly ReferencedAttribute[],
): readonly ReferencedAttribute[] {
  const all = selection === undefined ? reads : selection.with(reads)
  if (inputs === undefined) return all
  const found = new Map<string, ReferencedAttribute>()
  for (const read of all) {
    const own = bag instanceof CompletedBag && bag.isGenerated(read.name) ? absenceOf(read.name) : read
    found.set(referenceId(own), own)
  }
  for (const read of inputs.referenced()) found.set(referenceId(read), read)
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, reference]) => reference)
}

const shared = new LRUCache<string, readonly ReferencedAttribute[]>({ max: 4_096, maxSize: 2 ** 20 })

/** The same list for all answers that depended on the same attributes, whatever those held. */
export function sharedReads(reads: readonly ReferencedAttribute[]): readonly ReferencedAttribute[] {
  const id = JSON.stringify(reads.map(({ name, key, condition, whole }) => [name, key, condition, whole]))
  const known = shared.get(id)
  if (known === undefined) shared.set(id, reads, { size: id.length })
  return known ?? reads
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
