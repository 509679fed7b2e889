// What lies at the end of a way of questions: what was answered to a request with these values.

import { Bytes } from '../bytes/bytes'
import { KeptAnswer } from './kept-answer'
import { Chosen } from './chosen'
import { Place } from './shape-tree'

export class Entry {
  /** The next one with the same place in the table. */
  next: Entry | null = null
  /** It was found since the hand went by. */
  isUsed: bool = false
  /** Where it lies in the ring of answers; -1 where it is none. */
  ring: i32 = -1
  answer: KeptAnswer | null = null
  chosen: Chosen | null = null

  constructor(
    readonly place: Place,
    readonly hash: u32,
    readonly values: Bytes,
  ) {}
}
