// A question to a node that has no answer yet.

import { Request } from '../request/request'
import { NodeStream } from '../node/node-stream'

export class Pending {
  /** The stream whose request was asked; 0 where it is gone, or there was none. */
  leader: u32 = 0
  /** Streams of requests that may have the same answer: they look again when it has come. */
  readonly followers: Array<u32> = []
  /** When each of them is given up. */
  readonly deadlines: Array<f64> = []
  /** Whoever was asked: nobody else has an answer to it. */
  readonly asked: Array<NodeStream> = []
  /** Over which it was asked; `null` where none was open. */
  over: NodeStream | null = null
  /** When it was asked last: the life of the answer counts from then. */
  askedAt: f64 = 0

  constructor(
    readonly id: u32,
    readonly request: Request,
    /** Tells alike requests, roughly. */
    readonly likeness: u32,
    readonly deadline: f64,
    readonly uses: i32,
  ) {}

  /** What it takes of memory, roughly, in bytes. */
  get bytes(): i32 {
    return 8_192 + 2 * this.request.headers.size
  }

  get isAwaited(): bool {
    return this.leader !== 0 || this.followers.length > 0
  }

  /** A stream does not wait any more. */
  forget(context: u32): void {
    if (this.leader === context) this.leader = 0
    const at = this.followers.indexOf(context)
    if (at < 0) return
    this.followers.splice(at, 1)
    this.deadlines.splice(at, 1)
  }
}
