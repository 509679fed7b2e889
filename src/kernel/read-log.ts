// What an evaluation read. The verdict cache turns these reads into the shape and the key of an answer, so anything
// that influences a result must be logged, absences included.

import type { AttributeBag } from './attribute-bag.ts'
import type { SubjectTest } from './subject-test.ts'
import type { AttributeValue } from './value.ts'

/**
 * A boolean question about one attribute (or one key of a map attribute) that an expression asked, such as
 * `request.path.startsWith("/api/")`. Logging the answer instead of the value lets all paths with the same answer
 * share one cache entry.
 */
export interface Predicate {
  /** Canonical text: two predicates with the same id are the same function. */
  readonly id: string
  readonly attribute: string
  /** The key within a map attribute; `undefined` for a scalar. */
  readonly mapKey: string | undefined
  /** Answers for a bag; `undefined` where the attribute (or the key) is absent or the answer is an error. */
  test(bag: AttributeBag): boolean | undefined
  /** What it asks, for other processes; `undefined` where it cannot be told, or is too much to tell. */
  travels(): SubjectTest | undefined
}

/** Receives each read, in the order in which a deterministic evaluation makes them. */
export interface ReadLog {
  /** A scalar attribute, or the presence of a map attribute, was read; `undefined` says it is absent. */
  attribute(name: string, value: AttributeValue | undefined): void
  /** One key of a present map was read; `undefined` says that the map lacks it. */
  mapKey(name: string, key: string, value: string | undefined): void
  /** All entries of a map attribute were read; `undefined` says that the map is absent. */
  wholeMap(name: string, value: AttributeValue | undefined): void
  /** A predicate was answered. Only for answers that are not errors and attributes that are present. */
  predicate(predicate: Predicate, answer: boolean): void
}

/** One distinct read: `key` is a map key, `whole` says that every entry of the map was read. */
export interface ReferencedAttribute {
  readonly name: string
  readonly key: string | undefined
  readonly condition: 'EXACT' | 'ABSENCE'
  readonly whole: boolean
}

/** A text of its own for each distinct read, by which reads are sorted. The empty key is a key like any other. */
export function referenceId({ name, key, whole }: Omit<ReferencedAttribute, 'condition'>): string {
  return `${name}\u0000${key === undefined ? '' : `=${key}`}\u0000${whole}`
}

/** Hands on the reads of a request, and none of the names that stand for something else (see `OverlayBag`). */
export class RequestReads implements ReadLog {
  readonly #log: ReadLog
  readonly #hidden: { has(name: string): boolean }

  constructor(log: ReadLog, hidden: { has(name: string): boolean }) {
    this.#log = log
    this.#hidden = hidden
  }

  attribute(name: string, value: AttributeValue | undefined): void {
    if (!this.#hidden.has(name)) this.#log.attribute(name, value)
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    if (!this.#hidden.has(name)) this.#log.mapKey(name, key, value)
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    if (!this.#hidden.has(name)) this.#log.wholeMap(name, value)
  }

  predicate(predicate: Predicate, answer: boolean): void {
    if (!this.#hidden.has(predicate.attribute)) this.#log.predicate(predicate, answer)
  }
}
