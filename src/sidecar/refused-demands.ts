// Demands for rate limits that a node has just refused, by their bytes. Whoever is over a limit asks most of all, and is told
// the same from here for a moment.

import { RateLimitCode as Code } from '../wire/protocol-enums.ts'
import { WireReader } from '../wire/wire-reader.ts'

/** How long a refusal is remembered, in ms: nobody waits longer for what has become free. */
const LONGEST_MS = 100
/** Where the window may end at any moment: the protocol tells of whole seconds, rounded up. */
const SHORTEST_MS = 10
/** Demands that are remembered, and the bytes of each and of its answer: some 4 MB together. */
const MAX_DEMANDS = 2_000
const MAX_BYTES = 1_024

/** How nodes begin a response that refuses: the field `overall_code`, and its value. */
const OVERALL_CODE = 8

interface Refusal {
  readonly response: Uint8Array
  readonly until: number
}

export class RefusedDemands {
  /** In the order in which they came. */
  readonly #refusals = new Map<string, Refusal>()

  /** The response that a demand had just now, where that was a refusal. */
  find(demand: string, now: number): Uint8Array | undefined {
    const found = this.#refusals.get(demand)
    if (found === undefined || now < found.until) return found?.response
    this.#refusals.delete(demand)
    return undefined
  }

  /**
   * Remembers a response where it refuses.
   * @param demand the bytes of what was asked, hits included: whether fewer would have been granted nobody knows
   * @param askedAt when the node was asked, on the monotonic clock in ms
   */
  add(demand: string, response: Uint8Array, askedAt: number): void {
    if (!isRefusal(response) || demand.length > MAX_BYTES || response.length > MAX_BYTES) return
    const until = askedAt + lifeOf(response)
    this.#refusals.delete(demand)
    this.#refusals.set(demand, { response, until })
    if (this.#refusals.size > MAX_DEMANDS) this.#refusals.delete(this.#refusals.keys().next().value ?? '')
  }
}

/** Whether a node's response says that the demand is over a limit. */
export function isRefusal(response: Uint8Array): boolean {
  return response[0] === OVERALL_CODE && response[1] === Code.OVER_LIMIT
}

/** Field numbers of RateLimitResponse: its `statuses`, and of each `code` and `duration_until_reset`. */
const STATUSES = 2
const CODE = 1
const UNTIL_RESET = 4

/** No longer than until the first of its limits has room again. @throws IntermixError INVALID_REQUEST where it is no response */
function lifeOf(response: Uint8Array): number {
  const reader = new WireReader(response)
  let life: number | undefined
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 !== STATUSES) {
      reader.skip(tag)
      continue
    }
    const { code, seconds } = readStatus(reader, tag)
    if (code === Code.OVER_LIMIT) life = Math.min(life ?? LONGEST_MS, seconds > 1n ? LONGEST_MS : SHORTEST_MS)
  }
  return life ?? SHORTEST_MS
}

function readStatus(reader: WireReader, tag: number): { readonly code: number; readonly seconds: bigint } {
  const outer = reader.openField(tag)
  let code = 0
  let seconds = 0n
  for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
    if (inner >>> 3 === CODE) code = reader.varint32()
    else if (inner >>> 3 === UNTIL_RESET) seconds = readSeconds(reader, inner)
    else reader.skip(inner)
  }
  reader.close(outer)
  return { code, seconds }
}

/** The whole seconds of a google.protobuf.Duration. */
function readSeconds(reader: WireReader, tag: number): bigint {
  const outer = reader.openField(tag)
  let seconds = 0n
  for (let inner = reader.tag(); inner !== 0; inner = reader.tag()) {
    if (inner >>> 3 === 1) seconds = reader.int64()
    else reader.skip(inner)
  }
  reader.close(outer)
  return seconds
}
