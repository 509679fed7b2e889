// What a server's header blocks say of a call: they repeat, so that most are known by their bytes.

import { Code, codeName } from '../../src/kernel/status.ts'
import { HpackDecoder } from '../../src/wire/http2/hpack/decoder.ts'
import type { Ended } from './connection.ts'

const LIMITS = { maxTableBytes: 4_096, maxListBytes: 1 << 20 }
const MAX_KNOWN = 1_000

/** `end` is how the call ended where the block says that; undefined for OK, whose answer says more, and for first headers. */
export interface ReplyHeaders {
  readonly end: Ended | undefined
  readonly why: string
}

/** One for each connection: every block must pass through it. */
export class ReplyHeaderReader {
  readonly #decoder = new HpackDecoder(LIMITS)
  readonly #known = new Map<string, ReplyHeaders>()
  #version = this.#decoder.version

  /** @throws HpackError for a malformed block */
  read(bytes: Buffer, start: number, end: number): ReplyHeaders {
    // The same bytes mean the same as long as the table is the same.
    if (this.#version !== this.#decoder.version) {
      this.#known.clear()
      this.#version = this.#decoder.version
    }
    const key = bytes.toString('latin1', start, end)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const fields: Record<string, string> = {}
    this.#decoder.decode(bytes, start, end, { field: (name, value) => void (fields[name] = value) })
    const said = meaningOf(fields)
    if (this.#version === this.#decoder.version && this.#known.size < MAX_KNOWN) this.#known.set(key, said)
    return said
  }
}

function meaningOf(fields: Readonly<Record<string, string>>): ReplyHeaders {
  const { ':status': http = '200', 'grpc-status': status, 'grpc-message': message = '' } = fields
  if (status === undefined)
    return http === '200' ? { end: undefined, why: '' } : { end: 'failed', why: `HTTP ${http} without a grpc-status` }
  const code = Number(status)
  if (code === Code.OK) return { end: undefined, why: '' }
  return { end: endOf(code), why: `${codeName(code)}: ${message}` }
}

/** How a call ended that failed with this code. */
export function endOf(code: number): Ended {
  if (code === Code.UNAVAILABLE || code === Code.RESOURCE_EXHAUSTED) return 'shed'
  if (code === Code.DEADLINE_EXCEEDED) return 'expired'
  return code === Code.UNIMPLEMENTED ? 'missing' : 'failed'
}
