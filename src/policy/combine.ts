// Combines the verdicts of a check into one status, in rule order and never in order of arrival.

import type { VerdictOutcome } from '../cache/verdict-request.ts'
import { isUseBound, type VerdictEntry } from '../cache/verdict-entry.ts'
import type { RuleConfig } from '../config/snapshot.ts'
import { OK_STATUS, type Status } from '../kernel/status.ts'
import { DEFAULT_VALID_FOR_MS, DEFAULT_VALID_USES, type DirectResponse, type Tier } from '../kernel/verdict.ts'

/** A part whose verdict is in. */
export interface SettledPart {
  readonly rule: RuleConfig
  readonly handler: string
  readonly instance: string
  readonly action: string | undefined
  readonly outcome: VerdictOutcome
}

export interface Combined {
  readonly status: Status
  readonly tier: Tier
  /** Monotonic ms: when the oldest part was obtained, and until when the answer may be reused. */
  readonly createdAt: number
  readonly freshUntil: number
  readonly validUses: number
  /** Whether a backend or a rule meant to bound uses. */
  readonly isUseBound: boolean
  readonly entries: readonly VerdictEntry[]
  /** False where a part was unknown or stale: such an answer is not kept. */
  readonly reusable: boolean
  readonly directResponse: DirectResponse | undefined
  /** Whose failure gave the code. */
  readonly deniedBy: { readonly rule: string; readonly handler: string } | undefined
}

const DISTANCE: Readonly<Record<Tier, number>> = { local: 0, mesh: 1, backend: 2, stale: 3 }

/** Characters of the failures' messages together: they travel in headers and trailers, and there may be thousands. */
const MAX_MESSAGES = 4_096

/**
 * The first failure in rule order gives the code and the direct response; the message lists all failures, of very many
 * the first. Validity is the least of all parts and of the rules' own bounds. An unknown verdict fails under a rule that
 * is closed and is passed over under one that is open.
 */
export function combineVerdicts(matched: readonly RuleConfig[], parts: readonly SettledPart[], now: number): Combined {
  let code = 0
  const messages: string[] = []
  let told = 0
  let untold = 0
  let tier: Tier | undefined
  let createdAt = now
  let freshUntil = Number.POSITIVE_INFINITY
  let validUses = DEFAULT_VALID_USES
  let isBound = false
  let reusable = true
  let directResponse: DirectResponse | undefined
  let deniedBy: Combined['deniedBy']
  const entries = new Set<VerdictEntry>()
  for (const { rule, handler, outcome } of parts) {
    const { entry } = outcome
    if (entry === undefined) {
      reusable = false
      if (rule.failPolicy === 'open') continue
    } else {
      entries.add(entry)
      isBound ||= isUseBound(entry.verdict)
      if (tier === undefined || DISTANCE[outcome.tier] > DISTANCE[tier]) tier = outcome.tier
      if (outcome.tier === 'stale') reusable = false
      createdAt = Math.min(createdAt, entry.createdAt)
      freshUntil = Math.min(freshUntil, entry.freshUntil)
    }
    const status = entry === undefined ? outcome.error.status : entry.verdict.status
    if (status.code === 0) continue
    const message = `${handler}:${status.message}`
    if (messages.length === 0 || told + message.length <= MAX_MESSAGES) messages.push(message)
    else untold++
    told += message.length + 2
    if (code !== 0) continue
    code = status.code
    deniedBy = { rule: rule.name, handler }
    directResponse = entry?.verdict.directResponse
  }
  if (untold > 0) messages.push(`and ${untold} more`)
  if (entries.size === 0) freshUntil = now + DEFAULT_VALID_FOR_MS
  else validUses = leastUses(entries)
  for (const rule of matched) {
    freshUntil = Math.min(freshUntil, createdAt + (rule.maxValidForMs ?? Number.POSITIVE_INFINITY))
    if (rule.maxValidUses === undefined) continue
    validUses = Math.min(validUses, rule.maxValidUses)
    isBound ||= rule.maxValidUses < DEFAULT_VALID_USES
  }
  return {
    status: code === 0 ? OK_STATUS : { code, message: messages.join(', ') },
    tier: tier ?? 'backend',
    createdAt,
    freshUntil: reusable ? freshUntil : now,
    validUses: reusable ? validUses : 0,
    isUseBound: isBound,
    entries: [...entries],
    reusable,
    directResponse,
    deniedBy,
  }
}

function leastUses(entries: Iterable<VerdictEntry>): number {
  let least = Number.POSITIVE_INFINITY
  for (const { usesLeft } of entries) least = Math.min(least, usesLeft)
  return least
}
