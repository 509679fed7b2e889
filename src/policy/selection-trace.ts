// What choosing the rules read, for callers that keep answers: as a place in the tree of all that choosing read so far. The
// index asks the same few questions of every request, so that nearly every request ends at a place that is known, with
// references that are made, sorted and joined to those of its answer already.

import { type Predicate, type ReadLog, type ReferencedAttribute, referenceId } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'

/** Places of one tree. Reads beyond are not remembered, and cost what they cost. */
const MAX_PLACES = 10_000

/** A read that found something, and one that did not, lead to two places. */
interface Fork {
  exact: Place | undefined
  absent: Place | undefined
}

interface Tree {
  places: number
}

/** Where a sequence of reads led. */
export class Place {
  /** In order of their ids, each once. */
  readonly references: readonly ReferencedAttribute[]
  readonly #tree: Tree
  /** By attribute, then by key of a map; `undefined` for the attribute itself and `null` for the whole map. */
  readonly #forks = new Map<string, Map<string | undefined | null, Fork>>()
  readonly #joined = new WeakMap<readonly ReferencedAttribute[], readonly ReferencedAttribute[]>()

  constructor(tree: Tree, references: readonly ReferencedAttribute[]) {
    this.#tree = tree
    this.references = references
  }

  next(name: string, key: string | undefined | null, isThere: boolean): Place {
    let forks = this.#forks.get(name)
    if (forks === undefined) {
      forks = new Map()
      this.#forks.set(name, forks)
    }
    let fork = forks.get(key)
    if (fork === undefined) {
      fork = { exact: undefined, absent: undefined }
      forks.set(key, fork)
    }
    const known = isThere ? fork.exact : fork.absent
    if (known !== undefined) return known
    const place = this.#place(name, key, isThere ? 'EXACT' : 'ABSENCE')
    if (this.#tree.places >= MAX_PLACES) return place
    if (isThere) fork.exact = place
    else fork.absent = place
    return place
  }

  /** These references and what the answer itself depended on; the same list for the same two. */
  with(reads: readonly ReferencedAttribute[]): readonly ReferencedAttribute[] {
    if (this.references.length === 0) return reads
    const known = this.#joined.get(reads)
    if (known !== undefined) return known
    const joined = join(reads, this.references)
    this.#joined.set(reads, joined)
    return joined
  }

  #place(name: string, key: string | undefined | null, condition: ReferencedAttribute['condition']): Place {
    const read = { name, key: key ?? undefined, condition, whole: key === null }
    const id = referenceId(read)
    if (this.references.some((known) => referenceId(known) === id)) return this
    this.#tree.places++
    return new Place(this.#tree, join(this.references, [read]))
  }
}

/** The place at which nothing has been read. */
export function newTrace(): Place {
  return new Place({ places: 1 }, [])
}

/** Goes from place to place with each read. */
export class SelectionTrace implements ReadLog {
  place: Place

  constructor(start: Place) {
    this.place = start
  }

  attribute(name: string, value: AttributeValue | undefined): void {
    this.place = this.place.next(name, undefined, value !== undefined)
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    this.place = this.place.next(name, key, value !== undefined)
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    this.place = this.place.next(name, null, value !== undefined)
  }

  predicate({ attribute, mapKey }: Predicate): void {
    this.place = this.place.next(attribute, mapKey, true)
  }
}

/** Where both say something of one read, the latter counts. */
function join(
  first: readonly ReferencedAttribute[],
  second: readonly ReferencedAttribute[],
): readonly ReferencedAttribute[] {
  const found = new Map([...first, ...second].map((read) => [referenceId(read), read]))
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, read]) => read)
}
