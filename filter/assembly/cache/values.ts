// The values of a request that belong to a way of questions, one behind the other, each with its size: what an entry is found by.

import { Bytes, copyOf, isEqual } from '../bytes/bytes'
import { hashOf } from '../bytes/hash'
import { Request } from '../request/request'

const ROOM: i32 = 64 * 1024

export class Values {
  private readonly memory: StaticArray<u8> = new StaticArray<u8>(ROOM)
  private readonly start: usize = changetype<usize>(this.memory)
  /** Setting it back takes values off the end. */
  size: i32 = 0
  /** They have no room: nothing is found by them, and nothing is kept. */
  isFull: bool = false

  /** Begins with how a request is spelled, where that is not as policy sees it. */
  begin(request: Request): void {
    this.size = 0
    this.isFull = false
    if (request.isNormal) return
    this.add(request.method, request.methodSize)
    this.add(request.path, request.pathSize)
    this.add(request.host, request.hostSize)
  }

  add(value: usize, size: i32): void {
    if (this.isFull || ROOM - this.size < size + 4) {
      this.isFull = true
      return
    }
    const at = this.start + <usize>this.size
    store<i32>(at, size)
    memory.copy(at + 4, value, size)
    this.size += size + 4
  }

  hash(seed: u32): u32 {
    return hashOf(this.start, this.size) ^ (seed * 0x9e3779b1)
  }

  isEqual(values: Bytes): bool {
    return isEqual(values, this.start, this.size)
  }

  kept(): Bytes {
    return copyOf(this.start, this.size)
  }
}
