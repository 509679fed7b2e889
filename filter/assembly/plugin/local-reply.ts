// An answer to the client that no upstream has given.

import { Bytes, isBytes } from '../bytes/bytes'
import { sendLocalResponse } from '../host/abi'
import { take } from '../host/scratch'
import { cleanValue } from './header-value'

/** Envoy takes the status of gRPC from that of HTTP. */
const NO_GRPC_STATUS = -1

/** Headers of a reply, in order. */
export class ReplyHeaders {
  private readonly names: Array<Bytes> = []
  private readonly values: Array<Bytes> = []

  has(name: Bytes): bool {
    return this.find(name) >= 0
  }

  add(name: Bytes, value: Bytes): void {
    this.names.push(name)
    this.values.push(cleanValue(value))
  }

  replace(name: Bytes, value: Bytes): void {
    this.remove(name)
    this.add(name, value)
  }

  remove(name: Bytes): void {
    for (let at = this.find(name); at >= 0; at = this.find(name)) {
      this.names.splice(at, 1)
      this.values.splice(at, 1)
    }
  }

  private find(name: Bytes): i32 {
    for (let i = 0; i < this.names.length; i++) if (isBytes(this.names[i], name)) return i
    return -1
  }

  /** Ends the stream of the callback with it. */
  send(status: i32, body: Bytes, details: Bytes): void {
    const count = this.names.length
    let size = 4 + 8 * count
    for (let i = 0; i < count; i++) size += this.names[i].length + this.values[i].length + 2
    const pairs = take(size)
    store<i32>(pairs, count)
    let at = pairs + 4 + 8 * <usize>count
    for (let i = 0; i < count; i++) {
      store<i32>(pairs + 4 + 8 * <usize>i, this.names[i].length)
      store<i32>(pairs + 8 + 8 * <usize>i, this.values[i].length)
      at = written(written(at, this.names[i]), this.values[i])
    }
    sendLocalResponse(
      status,
      details.dataStart,
      details.length,
      body.dataStart,
      body.length,
      pairs,
      size,
      NO_GRPC_STATUS,
    )
  }
}

function written(at: usize, bytes: Bytes): usize {
  memory.copy(at, bytes.dataStart, bytes.length)
  store<u8>(at + <usize>bytes.length, 0)
  return at + <usize>bytes.length + 1
}
