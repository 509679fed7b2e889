// What the mesh tier found under a key, and whether it can be believed.

import type { HandlerConfig } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { MeshSeal } from '../kernel/mesh-signatures.ts'
import { decodeBlob } from './verdict-blob.ts'
import type { VerdictEntry } from './verdict-entry.ts'

/** What a node asks of the mesh tier. */
export interface MeshQuestion {
  readonly token: string
  readonly leaseMs: number
  /** The entry that the node has: only a younger one is given. */
  readonly known: VerdictEntry | undefined
  /** The most uses to take of an entry that is fresh, and of one that is not: in case the backend gives no verdict. */
  readonly maxUses: number
  readonly maxStaleUses: number
  /** This node's own limits bound what it believes. */
  readonly handler: HandlerConfig
}

/** The reply of the script. */
export interface RawLookup {
  readonly state: 'F' | 'L' | 'W'
  readonly ageMs: number
  readonly remainingMs: number
  readonly uses: number
  readonly blob: string
  /** Why what was found was no entry; empty where nothing was wrong. */
  readonly wrong: string
  /** Uses before some were granted. */
  readonly usesHeld: number
  /** What the clock of the Redis server said. */
  readonly now: number
  /** When it was made and how long it is fresh, as they are stored. */
  readonly created: string
  readonly freshUntil: string
  /** Empty for none. */
  readonly signature: string
}

/** What a node signs with a verdict: the key that it belongs to, and its life by the clock of the Redis server. */
export function signedTimes(key: string, created: string, freshUntil: string): string {
  return JSON.stringify(['verdict', 1, key, created, freshUntil])
}

/** All that is signed of a stored verdict: `blob` is what it says, which names its epoch. */
export function signedText(times: string, blob: string): string {
  return `${times}\n${blob}`
}

/**
 * The entry that a lookup sent at `sentAt` brought, or the reason why it cannot be believed: what is read from Redis is
 * held to what the backend may say and to what this node's config allows.
 */
export function entryOf(
  key: string,
  raw: RawLookup,
  sentAt: number,
  { handler }: MeshQuestion,
  seal?: MeshSeal,
): VerdictEntry | string {
  const times = signedTimes(key, raw.created, raw.freshUntil)
  const fault = seal?.fault('entry', signedText(times, raw.blob), raw.signature)
  if (fault !== undefined) {
    seal?.refused('entry', fault)
    return fault
  }
  const text = seal === undefined ? raw.blob : seal.reveal(raw.blob, times)
  const blob = text === undefined ? undefined : decodeBlob(key, text)
  if (blob === undefined) return 'blob'
  const { kind, validForMs, validUses } = blob.verdict
  // The key names the handler's limits too: whoever stored the verdict was bound by the same ones.
  if (kind === 'deny' && validForMs > (handler.maxDenyValidForMs ?? Number.POSITIVE_INFINITY)) return 'lifetime'
  // Two milliseconds for what was rounded on the way.
  if (raw.ageMs + raw.remainingMs > validForMs + 2) return 'lifetime'
  if (raw.usesHeld > validUses) return 'uses'
  // Counted from before the request was sent, the entry is never taken for younger than it is: not by what the server's clock,
  // which tells whole milliseconds, had gone beyond the last of them either.
  const from = Math.floor(sentAt) - 1
  const freshUntil = from + raw.remainingMs
  return {
    ...blob,
    isFetched: true,
    createdAt: from - raw.ageMs,
    freshUntil,
    staleUntil: freshUntil + handler.staleIfErrorMs,
    usesLeft: raw.uses,
    hits: 0,
    lastHitAt: from,
    answers: 0,
  }
}

/** @throws IntermixError REDIS_UNAVAILABLE for anything that the script does not say. */
export function readLookup(raw: unknown): RawLookup {
  const [state, ageMs, remainingMs, uses, blob, wrong, usesHeld, now, ...signed] = Array.isArray(raw)
    ? (raw as unknown[])
    : []
  const numbers = [ageMs, remainingMs, uses, usesHeld, now] as number[]
  if (
    (state !== 'F' && state !== 'L' && state !== 'W') ||
    !numbers.every(Number.isSafeInteger) ||
    typeof blob !== 'string' ||
    typeof wrong !== 'string' ||
    !signed.every((text) => typeof text === 'string')
  ) {
    throw new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of a script')
  }
  const [age = 0, remaining = 0, granted = 0, held = 0, at = 0] = numbers
  const [created = '', freshUntil = '', signature = ''] = signed
  const times = { ageMs: age, remainingMs: remaining, now: at, created, freshUntil }
  return { state, ...times, uses: granted, blob, wrong, usesHeld: held, signature }
}
