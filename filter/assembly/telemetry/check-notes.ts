// What became of checks, until their requests are over: records say it.

import { Bytes } from '../bytes/bytes'

export const enum From {
  /** A node has asked a backend. */
  BACKEND = 0,
  /** Somebody knew it: this filter, or a node. */
  CACHE = 1,
  /** Nobody has judged. */
  NOBODY = 2,
}

export class CheckNotes {
  /** By stream: a code, and where the answer is from. */
  private readonly notes: Map<u32, u32> = new Map()
  /** Of those that have a message. */
  private readonly messages: Map<u32, Bytes> = new Map()

  add(context: u32, code: i32, from: i32, message: Bytes): void {
    this.notes.set(context, ((<u32>code) << 2) | <u32>from)
    if (message.length > 0) this.messages.set(context, message)
  }

  has(context: u32): bool {
    return this.notes.has(context)
  }

  code(context: u32): i32 {
    return <i32>(this.notes.get(context) >> 2)
  }

  from(context: u32): i32 {
    return <i32>(this.notes.get(context) & 3)
  }

  message(context: u32): Bytes | null {
    return this.messages.has(context) ? this.messages.get(context) : null
  }

  delete(context: u32): void {
    if (this.notes.delete(context) && this.messages.size > 0) this.messages.delete(context)
  }
}
