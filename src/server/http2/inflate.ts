// Decompresses messages. Small ones at once; those that are large, or turn out to be, in other threads, so that they cannot
// stop the loop, and few at a time, since a kilobyte may become a megabyte.

import { zlib } from '../../kernel/late-modules.ts'
import { Code } from '../../kernel/status.ts'
import { RefusedCall } from './refused-call.ts'
import type { Encoding } from './request-head.ts'

/** What is inflated on the loop: some 100 µs of work. */
const AT_ONCE_BYTES = 64 * 1024
/** What it is inflated from: blocks that hold nothing but a code of their own take 0.3 s a megabyte, and give nothing. */
const AT_ONCE_DEFLATED_BYTES = 4 * 1024

/** Large ones in all of the process: half of the threads that there are, since names are looked up in them as well. */
const MAX_LARGE = 2

let large = 0
/** Those whose turn is to come, in their order. Their callers count for their connections, and what they sent for its budget. */
const queue: (() => void)[] = []

type Inflated = Buffer | RefusedCall

/**
 * The message, or why there is none: it is larger than `maxBytes`, or not compressed in this way; `undefined` where it is large, for
 * `inflateLarge`.
 */
export function inflateMessage(bytes: Uint8Array, encoding: Encoding, maxBytes: number): Inflated | undefined {
  if (encoding === 'identity')
    return new RefusedCall('message', Code.INTERNAL, 'a message is compressed, but grpc-encoding names nothing')
  if (bytes.length > AT_ONCE_DEFLATED_BYTES) return undefined
  const { gunzipSync, inflateSync } = zlib()
  const sync = encoding === 'gzip' ? gunzipSync : inflateSync
  try {
    return sync(bytes, { maxOutputLength: Math.min(AT_ONCE_BYTES, maxBytes) })
  } catch (caught) {
    if (!isTooLarge(caught) || maxBytes <= AT_ONCE_BYTES) return failureOf(caught, maxBytes)
  }
  return undefined
}

/** The same for a large message, when it is its turn; nobody hears of one that is not `wanted` any more by then. */
export function inflateLarge(
  bytes: Uint8Array,
  encoding: Encoding,
  maxBytes: number,
  { wanted, done }: { readonly wanted: () => boolean; readonly done: (inflated: Inflated | undefined) => void },
): void {
  const begin = () => {
    if (!wanted()) return done(undefined)
    large++
    const { gunzip, inflate } = zlib()
    const inflating = encoding === 'gzip' ? gunzip : inflate
    inflating(bytes, { maxOutputLength: maxBytes }, (error, inflated) => {
      large--
      beginNext()
      done(error === null ? inflated : failureOf(error, maxBytes))
    })
  }
  queue.push(begin)
  beginNext()
}

function beginNext(): void {
  const next = () => (large < MAX_LARGE ? queue.shift() : undefined)
  for (let begin = next(); begin !== undefined; begin = next()) begin()
}

function isTooLarge(caught: unknown): boolean {
  return caught instanceof Error && 'code' in caught && caught.code === 'ERR_BUFFER_TOO_LARGE'
}

function failureOf(caught: unknown, maxBytes: number): RefusedCall {
  if (isTooLarge(caught)) return tooLarge(maxBytes)
  return new RefusedCall('message', Code.INTERNAL, 'a message cannot be decompressed')
}

/** A message beyond the bound, compressed or not. */
export function tooLarge(maxBytes: number): RefusedCall {
  return new RefusedCall('size', Code.RESOURCE_EXHAUSTED, `a message is larger than ${maxBytes} bytes`)
}
