// Decompresses messages. Small ones at once; one that turns out to be large in another thread, so that it cannot stop the loop.

import { gunzip, gunzipSync, inflate, inflateSync } from 'node:zlib'
import { GrpcFailure } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import type { Encoding } from './request-head.ts'

/** What is inflated on the loop: some 100 µs of work. */
const AT_ONCE_BYTES = 64 * 1024

type Inflated = Buffer | GrpcFailure

/** The message, or why there is none: it is larger than `maxBytes`, or not compressed in this way. */
export function inflateMessage(bytes: Buffer, encoding: Encoding, maxBytes: number): Inflated | Promise<Inflated> {
  if (encoding === 'identity')
    return new GrpcFailure(Code.INTERNAL, 'a message is compressed, but grpc-encoding names nothing')
  const sync = encoding === 'gzip' ? gunzipSync : inflateSync
  try {
    return sync(bytes, { maxOutputLength: Math.min(AT_ONCE_BYTES, maxBytes) })
  } catch (caught) {
    if (!isTooLarge(caught) || maxBytes <= AT_ONCE_BYTES) return failureOf(caught, maxBytes)
  }
  const later = encoding === 'gzip' ? gunzip : inflate
  return new Promise((resolve) => {
    later(bytes, { maxOutputLength: maxBytes }, (error, inflated) =>
      resolve(error === null ? inflated : failureOf(error, maxBytes)),
    )
  })
}

function isTooLarge(caught: unknown): boolean {
  return caught instanceof Error && 'code' in caught && caught.code === 'ERR_BUFFER_TOO_LARGE'
}

function failureOf(caught: unknown, maxBytes: number): GrpcFailure {
  if (isTooLarge(caught)) return tooLarge(maxBytes)
  return new GrpcFailure(Code.INTERNAL, 'a message cannot be decompressed')
}

/** A message beyond the bound, compressed or not. */
export function tooLarge(maxBytes: number): GrpcFailure {
  return new GrpcFailure(Code.RESOURCE_EXHAUSTED, `a message is larger than ${maxBytes} bytes`)
}
