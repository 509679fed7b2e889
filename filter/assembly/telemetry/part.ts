// Records that wait for a call, written as one message. Its memory is given back at once when it is gone: nothing is left to collect.

import { DeltaBatch, weightOf } from './delta-batch'
import { Writer } from '../wire/writer'

const writer = new Writer()

export class Part {
  readonly at: usize
  readonly size: i32
  readonly count: i32
  /** When its first record came, in monotonic ms, and in ms since the epoch. */
  readonly openedAt: f64
  readonly acceptedAt: u64

  constructor(batch: DeltaBatch) {
    writer.reset()
    batch.appendTo(writer)
    this.size = writer.size
    this.at = heap.alloc(writer.size)
    memory.copy(this.at, writer.from, writer.size)
    this.count = batch.count
    this.openedAt = batch.openedAt
    this.acceptedAt = batch.acceptedAt
  }

  get weight(): i32 {
    return weightOf(this.size)
  }

  free(): void {
    heap.free(this.at)
  }
}
