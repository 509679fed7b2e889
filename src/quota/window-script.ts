// The script for what most of the busiest limits are: fixed windows, each settled by itself.

import type { LimitRule } from '../adapter-kit/limits.ts'
import type { RedisClient } from '../redis/create-client.ts'
import { defineScript } from '../redis/scripts.ts'
import { type ChargeReply, unexpected } from './charge-script.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'

const NUMBERS = 4

type Rule = Extract<LimitRule, { readonly algorithm: 'fixedWindow' }>
/** What this script can charge. */
export type FixedCharge = WindowCharge & { readonly rule: Rule }

const script = defineScript<readonly number[]>({ name: 'quota-charge-windows', keys: 'any', reply: readNumbers })

export function areFixed(charges: readonly WindowCharge[]): charges is readonly FixedCharge[] {
  return charges.every(({ rule }) => rule.algorithm === 'fixedWindow')
}

/** @param keys the counters, one for each charge; @param until ms on the clock of Redis, 0 for ever */
export async function chargeWindows(
  client: RedisClient,
  keys: readonly string[],
  { charges, mode, until }: { readonly charges: readonly FixedCharge[]; readonly mode: string; readonly until: number },
): Promise<ChargeReply> {
  const args: (string | number)[] = [mode, until]
  for (const { rule, amount, window = 0, ahead = 0 } of charges)
    args.push(rule.amount, rule.windowMs, rule.from, amount, window, ahead)
  const numbers = await script.run(client, keys, args)
  const now = (numbers[0] ?? Number.NaN) / 1_000
  if (numbers.length === 1) return { now, outcomes: undefined }
  if (numbers.length !== 1 + NUMBERS * charges.length) throw unexpected()
  const outcomes = charges.map((charge, index) => {
    const at = 1 + index * NUMBERS
    return outcomeOf(charge, now, {
      fits: numbers[at] === 1,
      used: numbers[at + 1] as number,
      start: numbers[at + 2] as number,
      more: numbers[at + 3] as number,
    })
  })
  return { now, outcomes }
}

function outcomeOf(
  { rule, amount }: FixedCharge,
  now: number,
  counted: { readonly fits: boolean; readonly used: number; readonly start: number; readonly more: number },
): WindowOutcome {
  const { fits, used, start, more } = counted
  const endsMs = Math.ceil(start + rule.windowMs - now)
  return {
    granted: fits ? amount + more : 0,
    isExceeded: !fits,
    left: rule.amount - used,
    resetMs: used === 0 ? 0 : endsMs,
    retryAfterMs: fits ? 0 : amount > rule.amount ? Number.POSITIVE_INFINITY : endsMs,
    window: start,
  }
}

function readNumbers(raw: unknown): readonly number[] {
  return Array.isArray(raw) && raw.every((each) => typeof each === 'number') ? raw : []
}
