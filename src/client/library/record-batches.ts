// Records on their way out of a program: read at once, and handed over many at a time, each with what has changed since the one
// before. Those with the same attributes keep their order.

import { type AttributeBag, MapBag } from '../../kernel/attribute-bag.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { ReportBuffer } from '../reports/report-buffer.ts'
import type { AttributeValue } from '../../kernel/value.ts'
import { encodeMixerReports, MIXER_REPORT_FORMAT } from '../../wire/mixer/report-writer.ts'

export interface RecordBatchesOptions {
  readonly reports: Pick<ReportBuffer, 'accept'>
  readonly clock: Clock
  readonly nextBatchId: () => string
}

/** Records of a batch, and how long the first of them waits for others, in ms. */
const MAX_RECORDS = 500
const MAX_WAIT_MS = 100

export class RecordBatches {
  readonly #options: RecordBatchesOptions
  #records: AttributeBag[] = []
  #cancel: (() => void) | undefined
  #givenUp = 0

  constructor(options: RecordBatchesOptions) {
    this.#options = options
  }

  /** Records that were not handed over: they could not be read, or nobody took them. */
  get givenUp(): number {
    return this.#givenUp
  }

  giveUp(count: number): void {
    this.#givenUp += count
  }

  /** Takes a record; its attributes are read now. */
  add(record: AttributeBag): void {
    const values = new Map<string, AttributeValue>()
    for (const name of record.names()) {
      const value = record.get(name)
      if (value !== undefined) values.set(name, value)
    }
    this.#records.push(new MapBag(values))
    if (this.#records.length >= MAX_RECORDS) this.flush()
    else this.#cancel ??= this.#options.clock.after(MAX_WAIT_MS, () => this.flush())
  }

  /** Hands over what there is. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const records = this.#records
    if (records.length === 0) return
    this.#records = []
    const { reports, clock, nextBatchId } = this.#options
    const acceptedAt = clock.now()
    for (const { payload, count } of encodeMixerReports(records)) {
      const batch = { id: nextBatchId(), format: MIXER_REPORT_FORMAT, count, payload, acceptedAt }
      if (reports.accept(batch, 'memory') !== undefined) this.giveUp(count)
    }
  }
}
