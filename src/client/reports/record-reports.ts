// Records of a program, one at a time, on their way into the buffer: many of them in one batch, in which each states what has
// changed since the one before.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { BatchIds } from '../../kernel/batch-ids.ts'
import type { Clock } from '../../kernel/ports.ts'
import { encodeMixerReports } from '../../wire/mixer/report-writer.ts'
import type { ReportBuffer } from './report-buffer.ts'

/** As the list of formats has it, which a program that only writes them does without. */
const FORMAT = 'mixer-report'
const MAX_RECORDS = 1_000
const WAIT_MS = 200

export interface RecordReportsOptions {
  readonly buffer: Pick<ReportBuffer, 'accept'>
  readonly clock: Clock
  readonly ids: BatchIds
}

export class RecordReports {
  readonly #options: RecordReportsOptions
  #bags: AttributeBag[] = []
  #cancel: (() => void) | undefined

  constructor(options: RecordReportsOptions) {
    this.#options = options
  }

  /** Takes a record, which must not change from now on. Records with the same attributes keep their order. */
  report(bag: AttributeBag): void {
    this.#bags.push(bag)
    if (this.#bags.length >= MAX_RECORDS) this.flush()
    else this.#cancel ??= this.#options.clock.after(WAIT_MS, () => this.flush())
  }

  /** Hands on what is here: to be called before the buffer is flushed. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const { buffer, clock, ids } = this.#options
    const acceptedAt = clock.now()
    // What has no room is counted there.
    for (const { payload, count } of encodeMixerReports(this.#bags.splice(0)))
      buffer.accept({ id: ids.next(), format: FORMAT, count, payload, acceptedAt }, 'memory')
  }
}
