// Records that no call has yet: batches that more come to, one for each set of attributes, and parts that are closed.

import { wallNanoseconds } from '../host/clock'
import { DeltaBatch } from './delta-batch'
import { Part } from './part'
import { Record } from './record'
import { SetAttributes } from './set-attributes'

/** A batch with so much is closed. */
const MAX_RECORDS = 500
const MAX_BYTES = 128 * 1024
/** Sets of attributes that are gathered at once; of more, the batch that has been open for longest is closed. */
const MAX_OPEN = 8
/** The place of the batch that has been open for longest: new ones come last. */
const OLDEST = 0

export class HeldRecords {
  records: i32 = 0
  bytes: i32 = 0
  private readonly open: Array<DeltaBatch> = []
  private readonly spare: Array<DeltaBatch> = []
  private readonly parts: Array<Part> = []

  constructor(private readonly set: SetAttributes) {}

  add(record: Record, now: f64): void {
    const batch = this.batchOf(record.attributes, now)
    const before = batch.weight
    batch.add(record, this.set)
    this.records++
    this.bytes += batch.weight - before
    if (batch.count >= MAX_RECORDS || batch.size >= MAX_BYTES) this.seal(this.open.indexOf(batch))
  }

  /** When the oldest of them came, in monotonic ms; infinite where there is none. */
  get oldest(): f64 {
    let oldest: f64 = Infinity
    if (this.parts.length > 0) oldest = this.parts[0].openedAt
    for (let i = 0; i < this.open.length; i++) oldest = min(oldest, this.open[i].openedAt)
    return oldest
  }

  /** Takes what came first: whole parts, one at least where there is any. */
  take(maxRecords: i32, maxBytes: i32): Array<Part> {
    let records = 0
    let bytes = 0
    let count = 0
    let isFull = false
    while (!isFull) {
      if (count === this.parts.length) {
        if (this.open.length === 0) break
        this.seal(OLDEST)
      }
      const part = this.parts[count]
      isFull = count > 0 && (records + part.count > maxRecords || bytes + part.size > maxBytes)
      if (isFull) break
      records += part.count
      bytes += part.size
      count++
    }
    const taken = this.parts.splice(0, count)
    for (let i = 0; i < taken.length; i++) this.forget(taken[i])
    return taken
  }

  /** Gives up what came first. @returns how many records that was */
  displace(): i32 {
    if (this.parts.length === 0) {
      if (this.open.length === 0) return 0
      this.seal(OLDEST)
    }
    const part = this.parts.shift()
    this.forget(part)
    part.free()
    return part.count
  }

  /** Gives all memory back. */
  free(): void {
    while (this.displace() > 0);
    for (let i = 0; i < this.spare.length; i++) this.spare[i].free()
    this.spare.length = 0
  }

  private forget(part: Part): void {
    this.records -= part.count
    this.bytes -= part.weight
  }

  private batchOf(attributes: u64, now: f64): DeltaBatch {
    const open = this.open
    for (let i = open.length - 1; i >= 0; i--) if (unchecked(open[i]).attributes === attributes) return open[i]
    if (open.length === MAX_OPEN) this.seal(OLDEST)
    const batch = this.spare.length > 0 ? this.spare.pop() : new DeltaBatch()
    batch.begin(attributes, now, wallNanoseconds() / 1_000_000)
    open.push(batch)
    return batch
  }

  private seal(at: i32): void {
    const batch = this.open.splice(at, 1)[0]
    const part = new Part(batch)
    this.bytes += part.weight - batch.weight
    this.parts.push(part)
    this.spare.push(batch)
  }
}
