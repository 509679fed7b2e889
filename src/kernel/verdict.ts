// Verdicts: what one handler said of one instance, and the answer that a whole check combines from them.

import type { HeaderOperation } from './header-operation.ts'
import type { ReferencedAttribute } from './read-log.ts'
import { OK_STATUS, type Status } from './status.ts'
import type { AttributeValue } from './value.ts'

/** A verdict has three values: `unknown` is resolved by the rule's fail policy, never by accident. */
export type VerdictKind = 'allow' | 'deny' | 'unknown'

/** An HTTP response that a handler wants the caller to get instead of the proxied one. */
export interface DirectResponse {
  /** HTTP status code; 0 means "map it from the RPC code". */
  readonly code: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

/** What one handler said of one instance. Times are in milliseconds; validity counts from when the backend spoke. */
export interface Verdict {
  readonly kind: VerdictKind
  readonly status: Status
  /** How long the verdict may be reused, at most `MAX_VALID_FOR_MS`. 0 forbids reuse. */
  readonly validForMs: number
  /** How often it may be given again after the check that it was asked for, at most `MAX_VALID_USES`. 0 forbids it. */
  readonly validUses: number
  readonly directResponse?: DirectResponse
  /** Output of a check-with-output template, by field name. */
  readonly output?: Readonly<Record<string, AttributeValue>>
}

/** The longest that a verdict may be reused, whatever a backend says: one day. */
export const MAX_VALID_FOR_MS = 86_400_000
/** The most uses of a verdict, whatever a backend says: what Mixer's protocol can tell. */
export const MAX_VALID_USES = 2_147_483_647

/** Validity of an answer that no handler limited (Mixer's defaults: one minute, ten thousand uses). */
export const DEFAULT_VALID_FOR_MS = 60_000
export const DEFAULT_VALID_USES = 10_000
/** For how long beyond its validity a verdict serves where nobody gives another one, unless the config says. */
export const DEFAULT_STALE_FOR_MS = 600_000

/**
 * Where an answer came from, nearest first; a combined answer names the farthest tier that one of its parts needed.
 * `stale` is a cached verdict served beyond its validity and within its stale bound because the backend gave none.
 */
export type Tier = 'local' | 'mesh' | 'backend' | 'stale'

/** The answer to a check: all matching rules' verdicts, combined in rule order. */
export interface Answer {
  readonly status: Status
  /** Remaining life in milliseconds, counted down from when the backend spoke. */
  readonly validForMs: number
  /** How often it may be given again: by the node, or by a caller that keeps answers and was handed these uses. */
  readonly validUses: number
  readonly tier: Tier
  /** How long ago the oldest part of the answer was obtained, in milliseconds, rounded up. */
  readonly ageMs: number
  /** What the answer to this very request depended on; empty where the caller did not ask for it. */
  readonly referenced: readonly ReferencedAttribute[]
  readonly requestHeaders: readonly HeaderOperation[]
  readonly responseHeaders: readonly HeaderOperation[]
  readonly directResponse?: DirectResponse | undefined
  /** Where it denies: the rule and handler that gave the code. */
  readonly deniedBy?: { readonly rule: string; readonly handler: string } | undefined
}

/** Where nobody was asked whether a request is allowed: good for nothing but to say that it was heard. */
export const NOT_JUDGED: Answer = {
  status: OK_STATUS,
  validForMs: 0,
  validUses: 0,
  tier: 'local',
  ageMs: 0,
  referenced: [],
  requestHeaders: [],
  responseHeaders: [],
}
