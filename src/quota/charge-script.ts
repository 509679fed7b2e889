// One run of the script that charges limits, as calls of it and as what it answers.

import { hash } from 'node:crypto'
import type { ChargeOptions, LimitCharge, LimitRule } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisClient } from '../redis/create-client.ts'
import { defineScript } from '../redis/scripts.ts'
import { periodAt } from './algorithms/calendar.ts'
import type { WindowCharge, WindowOutcome } from './charge.ts'
import { memoryKey, REMEMBER_MS } from './memory-limits.ts'

export interface ChargeReply {
  /** Milliseconds since the epoch, on the clock of Redis. */
  readonly now: number
  /** `undefined` of what came too late, and where `now` is in none of the units of the calendar that it was asked with. */
  readonly outcomes: readonly WindowOutcome[] | undefined
}

const NUMBERS = 6

const script = defineScript<ChargeReply>({ name: 'quota-charge', keys: 'any', reply: readReply })

interface Run extends ChargeOptions {
  /** What keys begin with. */
  readonly prefix: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Milliseconds on the clock of Redis, 0 for ever. */
  readonly until: number
}

/** Runs the script: on a cluster all charges must be of one group. */
export async function charge(
  client: RedisClient,
  charges: readonly WindowCharge[],
  { mode, id = '', prefix, now, until }: Run,
): Promise<ChargeReply> {
  const memory = memoryKey(charges, id)
  const keys = charges.map((each) => keyOf(each, each.rule.algorithm, prefix))
  if (memory !== '') keys.push(`${prefix}${tagOf(groupOf(charges[0]))}:d:${hash('sha256', memory, 'base64url')}`)
  const args = [mode, memory === '' ? 0 : REMEMBER_MS, id, until, ...charges.flatMap((each) => numbersOf(each, now))]
  const reply = await script.run(client, keys, args)
  if (reply.outcomes !== undefined && reply.outcomes.length !== charges.length) throw unexpected()
  return reply
}

/** The key of a counter. */
export function keyOf(
  counter: Pick<LimitCharge, 'key' | 'group'>,
  algorithm: LimitRule['algorithm'],
  prefix: string,
): string {
  return `${prefix}${tagOf(groupOf(counter))}:${counter.key}:${algorithm}`
}

/** The hash tag of a group. It ends with its first brace, whatever callers have put into the name. */
export function tagOf(group: string): string {
  return `{${group.includes('}') ? group.replaceAll('}', '%7d') : group}}`
}

function groupOf(counter: Pick<LimitCharge, 'key' | 'group'> | undefined): string {
  return counter?.group ?? counter?.key ?? ''
}

function numbersOf({ rule, amount, window = 0, ahead = 0 }: WindowCharge, now: number): (string | number)[] {
  return [rule.algorithm, rule.amount, spanOf(rule), extraOf(rule, now), amount, window, ahead]
}

function spanOf(rule: LimitRule): number {
  if (rule.algorithm === 'calendarWindow') return 0
  return 'windowMs' in rule ? rule.windowMs : rule.expiryMs
}

function extraOf(rule: LimitRule, now: number): string | number {
  switch (rule.algorithm) {
    case 'gcra':
    case 'tokenBucket':
      return rule.burst
    case 'fixedWindow':
      return rule.from
    case 'rollingWindow':
      return rule.bucketMs
    case 'calendarWindow': {
      const { start, end } = periodAt(rule.unit, now)
      return [periodAt(rule.unit, start - 1).start, start, end, periodAt(rule.unit, end).end].join(' ')
    }
    default:
      return ''
  }
}

function readReply(raw: unknown): ChargeReply {
  if (!Array.isArray(raw) || raw.length % NUMBERS !== 1) throw unexpected()
  const [now = 0, ...numbers] = raw.map(Number)
  if (numbers.some((each) => !Number.isFinite(each))) throw unexpected()
  const outcomes: WindowOutcome[] = []
  for (let at = 0; at < numbers.length; at += NUMBERS) {
    const [granted = 0, fits, left = 0, resetMs = 0, retry = 0, window = 0] = numbers.slice(at, at + NUMBERS)
    const retryAfterMs = retry < 0 ? Number.POSITIVE_INFINITY : retry
    outcomes.push({ granted, isExceeded: fits !== 1, left, resetMs, retryAfterMs, window })
  }
  return { now, outcomes: raw.length === 1 ? undefined : outcomes }
}

export function unexpected(): IntermixError {
  return new IntermixError('BACKEND_FAILED', 'unexpected reply of the script of quotas')
}
