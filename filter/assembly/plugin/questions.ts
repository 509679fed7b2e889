// The questions to nodes that have no answer yet.

import { NodeStream } from '../node/node-stream'
import { Request } from '../request/request'
import { Pending } from './pending'

/** Memory for them, in bytes. */
const MAX_BYTES = 24 * 1024 * 1024

export class Questions {
  private readonly pending: Map<u32, Pending> = new Map()
  private bytes: i32 = 0
  private id: u32 = 0

  get size(): i32 {
    return this.pending.size
  }

  get isFull(): bool {
    return this.bytes > MAX_BYTES
  }

  /** Whether there is room for what nobody waits for. */
  get hasPlenty(): bool {
    return this.bytes <= MAX_BYTES / 2
  }

  /** A number that no question has. */
  nextId(): u32 {
    do this.id++
    while (this.pending.has(this.id))
    return this.id
  }

  add(request: Request, likeness: u32, deadline: f64, uses: i32): Pending {
    const pending = new Pending(this.nextId(), request, likeness, deadline, uses)
    this.pending.set(pending.id, pending)
    this.bytes += pending.bytes
    return pending
  }

  /** Whether one waits for an answer over a stream. */
  isAsked(id: u32, over: NodeStream): bool {
    return this.pending.has(id) && this.pending.get(id).asked.includes(over)
  }

  /** Takes one from those that wait; `null` where it does not. */
  take(id: u32): Pending | null {
    if (!this.pending.has(id)) return null
    const pending = this.pending.get(id)
    this.pending.delete(id)
    this.bytes -= pending.bytes
    return pending
  }

  all(): Array<Pending> {
    return this.pending.values()
  }

  /** One for a request that looks alike. */
  alike(likeness: u32): Pending | null {
    const all = this.all()
    for (let i = 0; i < all.length; i++) if (all[i].likeness === likeness && all[i].isAwaited) return all[i]
    return null
  }
}
