// Turns a queued Mixer report into bags for the workers; like a check's bag, each decodes what is read.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import type { AttributeIndex } from './attribute-index.ts'
import { CompressedAttributesBag } from './compressed-attributes-bag.ts'
import { readMixerReport } from './report-request.ts'
import { WireReader } from '../wire-reader.ts'

/**
 * The records of an `istio.mixer.v1.ReportRequest` in order, without those that the front door refused when the report
 * came in. In a delta report a record has all attributes of the records before it, overwritten by its own.
 * Throws `INVALID_REQUEST` where the payload is malformed.
 */
export function decodeMixerReport(payload: Uint8Array, vocabulary: Vocabulary): AttributeBag[] {
  const report = readMixerReport(payload)
  const reader = new WireReader(payload)
  const good = report.records.filter((record) => record.problem === undefined)
  const options = { vocabulary }
  const bags = good.map(({ index }) => new CompressedAttributesBag(index, reader, options))
  if (report.independent) return bags
  const history = new History(bags)
  good.forEach(({ index }, at) => {
    for (const name of index.names) history.state(name, at)
  })
  return good.map(({ index }, at) => new DeltaBag(history, at, index))
}

/** Which record states which attribute: as large as the report itself, where a full bag a record would be its square. */
class History {
  readonly #bags: readonly AttributeBag[]
  /** By attribute: the positions of the records that state it, ascending. */
  readonly #byName = new Map<string, number[]>()

  constructor(bags: readonly AttributeBag[]) {
    this.#bags = bags
  }

  state(name: string, at: number): void {
    const known = this.#byName.get(name)
    if (known === undefined) this.#byName.set(name, [at])
    else known.push(at)
  }

  /** The value that the last record up to and including `at` gave the attribute. */
  get(name: string, at: number): AttributeValue | undefined {
    const known = this.#byName.get(name)
    if (known === undefined) return undefined
    let low = 0
    let high = known.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((known[middle] ?? 0) <= at) low = middle + 1
      else high = middle
    }
    return this.#bags[known[low - 1] ?? -1]?.get(name)
  }

  names(): Iterable<string> {
    return this.#byName.keys()
  }
}

class DeltaBag implements AttributeBag {
  readonly #history: History
  readonly #at: number
  readonly #stated: AttributeIndex

  constructor(history: History, at: number, stated: AttributeIndex) {
    this.#history = history
    this.#at = at
    this.#stated = stated
  }

  changesSince(earlier: AttributeBag): Iterable<string> | undefined {
    if (!(earlier instanceof DeltaBag) || earlier.#history !== this.#history) return undefined
    if (earlier.#at === this.#at) return []
    return earlier.#at === this.#at - 1 ? this.#stated.names : undefined
  }

  get(name: string): AttributeValue | undefined {
    return this.#history.get(name, this.#at)
  }

  *names(): Generator<string> {
    for (const name of this.#history.names()) if (this.get(name) !== undefined) yield name
  }
}
