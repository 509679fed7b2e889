// An answer that a node gave, and for how long it may be given again.

import { Bytes, EMPTY } from '../bytes/bytes'

export const enum Operation {
  REPLACE = 0,
  REMOVE = 1,
  APPEND = 2,
}

export class HeaderOperation {
  constructor(
    readonly name: Bytes,
    readonly value: Bytes,
    readonly operation: i32,
  ) {}
}

/** What a node says of a request that it has judged, whether or not it may be kept. */
export class Answer {
  code: i32 = 0
  message: Bytes = EMPTY
  requestHeaders: Array<HeaderOperation> | null = null
  responseHeaders: Array<HeaderOperation> | null = null
  /** Of a direct response: 0 leaves it to the code. */
  httpStatus: i32 = 0
  body: Bytes = EMPTY
  /** Names and values in turns. */
  directHeaders: Array<Bytes> | null = null

  /** What it takes of memory, roughly, in bytes. */
  get bytes(): i32 {
    return (
      200 +
      this.message.length +
      this.body.length +
      sizeOf(this.requestHeaders) +
      sizeOf(this.responseHeaders) +
      this.directSize()
    )
  }

  private directSize(): i32 {
    const headers = this.directHeaders
    if (headers === null) return 0
    let size = 0
    for (let i = 0; i < headers.length; i++) size += 60 + headers[i].length
    return size
  }
}

function sizeOf(operations: Array<HeaderOperation> | null): i32 {
  if (operations === null) return 0
  let size = 0
  for (let i = 0; i < operations.length; i++) size += 150 + operations[i].name.length + operations[i].value.length
  return size
}

/** Times are milliseconds of the monotonic clock. */
export class KeptAnswer {
  /** Which revocations it takes into account. */
  generation: Bytes = EMPTY
  sequence: f64 = 0
  createdAt: f64 = 0
  freshUntil: f64 = 0
  staleUntil: f64 = 0
  /** From then on another one is asked for; infinite where one is under way, or none is wanted. */
  refreshAt: f64 = 0
  usesLeft: i32 = 0
  /** It has paid for its uses. */
  isPaid: bool = false
  /** Nobody meant to bound how often it is given. */
  usesUnbound: bool = false

  constructor(readonly answer: Answer) {}
}
