// Uses of answers that have paid for quotas: those that nobody has used when their time is over are given back, so that others may
// have them.

import { Bytes, isBytes } from '../bytes/bytes'
import { KeptAnswer } from '../cache/kept-answer'
import { Request } from '../request/request'

export class Paid {
  constructor(
    readonly kept: KeptAnswer,
    /** One of those that it holds for. */
    readonly request: Request,
    /** Under which it was charged: the rules of another one would take back what they have never charged. */
    readonly config: Bytes,
  ) {}
}

/** Uses beyond are not given back; a limit has them again with time. */
const MAX_HELD = 512

export class PaidUses {
  private held: Array<Paid> = []

  watch(kept: KeptAnswer, request: Request, config: Bytes): void {
    if (this.held.length < MAX_HELD) this.held.push(new Paid(kept, request, config))
  }

  /** Takes those whose time is over by then, and that are to be given back while `config` is current. */
  ended(now: f64, config: Bytes): Array<Paid> {
    const ended: Array<Paid> = []
    const held: Array<Paid> = []
    for (let i = 0; i < this.held.length; i++) {
      const paid = this.held[i]
      if (paid.kept.freshUntil > now) held.push(paid)
      else if (paid.kept.usesLeft > 0 && isBytes(paid.config, config)) ended.push(paid)
    }
    this.held = held
    return ended
  }

  get isEmpty(): bool {
    return this.held.length === 0
  }
}
