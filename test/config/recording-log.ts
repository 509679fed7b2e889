// A read log that writes down what it hears, in order.

import type { Predicate, ReadLog } from '../../src/kernel/read-log.ts'
import { type AttributeValue, isStringMap } from '../../src/kernel/value.ts'

/** Reads as text: `name=value`, `-name` for an absence, `name[key]=value`, `?attribute=answer` for a predicate. */
export class RecordingLog implements ReadLog {
  readonly reads: string[] = []
  readonly predicates: Predicate[] = []

  attribute(name: string, value: AttributeValue | undefined): void {
    if (value === undefined) this.reads.push(`-${name}`)
    else this.reads.push(isStringMap(value) ? `${name}=map` : `${name}=${String(value)}`)
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    this.reads.push(value === undefined ? `-${name}[${key}]` : `${name}[${key}]=${value}`)
  }

  wholeMap(name: string): void {
    this.reads.push(`${name}[*]`)
  }

  predicate(predicate: Predicate, answer: boolean): void {
    this.predicates.push(predicate)
    this.reads.push(`?${predicate.attribute}=${answer}`)
  }
}
