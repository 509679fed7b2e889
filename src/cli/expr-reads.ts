// Collects what an evaluation read, in the notation of the case files: `name`, `map[key]`, and `-` for what is absent.

import type { Predicate, ReadLog } from '../kernel/read-log.ts'
import type { AttributeValue } from '../kernel/value.ts'

/** A read log for people and tests: predicates count as reads of what they ask about. */
export class ReadNames implements ReadLog {
  readonly #names = new Set<string>()
  readonly #predicates: string[] = []

  attribute(name: string, value: AttributeValue | undefined): void {
    this.#names.add(value === undefined ? `-${name}` : name)
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    this.#names.add(name).add(`${value === undefined ? '-' : ''}${name}[${key}]`)
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    this.attribute(name, value)
  }

  predicate({ id, attribute, mapKey }: Predicate, answer: boolean): void {
    this.#names.add(attribute)
    if (mapKey !== undefined) this.#names.add(`${attribute}[${mapKey}]`)
    this.#predicates.push(`${id} is ${answer}`)
  }

  get names(): readonly string[] {
    return [...this.#names].sort()
  }

  /** The questions that were asked instead of reading a value. */
  get predicates(): readonly string[] {
    return this.#predicates
  }
}
