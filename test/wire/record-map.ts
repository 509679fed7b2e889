// A string map over the plain object that a protobuf map field decodes to.

import type { StringMap } from '../../src/kernel/value.ts'

/** Reads own keys only, so a key such as `constructor` is as absent as any other. */
export class RecordMap implements StringMap {
  readonly #record: Readonly<Record<string, string>>
  readonly #hidden: string | undefined
  #size: number | undefined

  /** `hidden` names a key that the map shall not have. */
  constructor(record: Readonly<Record<string, string>>, hidden?: string) {
    this.#record = record
    this.#hidden = hidden
  }

  get size(): number {
    if (this.#size === undefined) {
      const hides = this.#hidden !== undefined && Object.hasOwn(this.#record, this.#hidden)
      this.#size = Object.keys(this.#record).length - (hides ? 1 : 0)
    }
    return this.#size
  }

  get(key: string): string | undefined {
    return key !== this.#hidden && Object.hasOwn(this.#record, key) ? this.#record[key] : undefined
  }

  *entries(): Iterable<[string, string]> {
    for (const key of Object.keys(this.#record)) if (key !== this.#hidden) yield [key, this.#record[key] ?? '']
  }
}
