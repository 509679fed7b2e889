// Limits that all nodes share: one script settles what is charged together, by the clock of Redis.

import { createHash } from 'node:crypto'
import type { ChargeOptions, LimitCharge, LimitRule, Limits, PlaceLeft } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { periodAt } from './algorithms/calendar.ts'
import { ChargeBatches, type SingleMode } from './charge-batches.ts'
import { assertCharges, mergeCharges, type WindowCharge, type WindowOutcome } from './charge.ts'
import { memoryKey, REMEMBER_MS } from './memory-limits.ts'
import { areFixed, chargeWindows, type FixedCharge } from './window-script.ts'

interface Reply {
  /** Milliseconds since the epoch, on the clock of Redis. */
  readonly now: number
  readonly outcomes: readonly WindowOutcome[]
}

const NUMBERS = 6

const script = defineScript<Reply>({ name: 'quota-charge', keys: 'any', reply: readReply })

export interface RedisLimitsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** What keys begin with: of the installation and the handler. */
  readonly prefix: string
}

export class RedisLimits implements Limits {
  readonly #options: RedisLimitsOptions
  readonly #batches: Readonly<Record<SingleMode, ChargeBatches>>

  constructor(options: RedisLimitsOptions) {
    this.#options = options
    const run = (charges: readonly WindowCharge[], mode: SingleMode) =>
      areFixed(charges) ? this.#windows(charges, mode) : this.#step(charges, { mode })
    const { clock } = options
    this.#batches = {
      each: new ChargeBatches({ clock, mode: 'each', run }),
      count: new ChargeBatches({ clock, mode: 'count', run }),
    }
  }

  /**
   * @throws IntermixError INVALID_REQUEST for senseless charges, REDIS_UNAVAILABLE where Redis gives no answer: what was
   * charged then is not known.
   */
  async charge(charges: readonly WindowCharge[], options: ChargeOptions): Promise<WindowOutcome[]> {
    const { merged, share } = mergeCharges(charges)
    assertCharges(merged, options.id ?? '')
    const single = singleMode(merged, options)
    if (single !== undefined && !isCluster(this.#options.link)) return share(await this.#batches[single].charge(merged))
    const groups = isCluster(this.#options.link) ? byGroup(merged) : [merged]
    const [only] = groups
    if (groups.length === 1 && only !== undefined) return share(await this.#step(only, options))
    return share(await this.#steps(merged, groups, options))
  }

  /** One command for each counter, however many leave it. */
  async leave(places: readonly PlaceLeft[]): Promise<number> {
    const byKey = Map.groupBy(places, (place) => this.#key(place, 'concurrency'))
    const counts = await this.#options.link.run((client) =>
      Promise.all(Array.from(byKey, ([key, left]) => client.zrem(key, ...left.map(({ id }) => id)))),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** One group after the other. `all`: what was granted is given back where a later one refuses, or has no answer. */
  async #steps(
    charges: readonly WindowCharge[],
    groups: readonly (readonly WindowCharge[])[],
    options: ChargeOptions,
  ): Promise<WindowOutcome[]> {
    const outcomes = new Map<WindowCharge, WindowOutcome>()
    const { mode } = options
    let least = Number.POSITIVE_INFINITY
    for (const group of groups) {
      const limited = mode === 'part' ? group.map((each) => ({ ...each, amount: Math.min(each.amount, least) })) : group
      const found = await this.#step(limited, options).catch((error: unknown) => {
        if (mode === 'all' || mode === 'part') void this.#giveUp(outcomes, options.id).catch(() => undefined)
        throw error
      })
      for (const [index, charge] of group.entries()) {
        const outcome = found[index] as WindowOutcome
        outcomes.set(charge, { ...outcome, isExceeded: outcome.isExceeded || outcome.granted < charge.amount })
        if (charge.amount > 0) least = Math.min(least, outcome.granted)
      }
      if (mode === 'all' && found.some(({ isExceeded }) => isExceeded)) break
    }
    const isRefused = mode === 'all' && [...outcomes.values()].some(({ isExceeded }) => isExceeded)
    if (isRefused || mode === 'part') await this.#giveBack(outcomes, isRefused ? 0 : least, options.id)
    return charges.map((charge) => outcomes.get(charge) ?? UNASKED)
  }

  /** Gives back what nobody gets. Who has an id may try again, and gets what is remembered of it; a place in flight is not. */
  #giveUp(outcomes: Map<WindowCharge, WindowOutcome>, id = ''): Promise<void> {
    const isForgotten = ([{ rule }]: readonly [WindowCharge, WindowOutcome]) =>
      id === '' || rule.algorithm === 'concurrency'
    return this.#giveBack(new Map([...outcomes].filter(isForgotten)), 0, id)
  }

  /** Takes back what was granted beyond `least`: nobody gets it. */
  async #giveBack(outcomes: Map<WindowCharge, WindowOutcome>, least: number, id = ''): Promise<void> {
    for (const [charge, outcome] of outcomes) {
      const over = outcome.granted - least
      if (charge.amount <= 0 || over <= 0) continue
      const [after] = await this.#step([{ ...charge, amount: -over, window: outcome.window }], {
        mode: 'each',
        // Whoever tries again gets the first outcome, and that has been given back already. A place in flight goes by its id.
        id: id === '' || charge.rule.algorithm === 'concurrency' ? id : `back ${id}`,
      })
      outcomes.set(charge, { ...outcome, granted: least, left: after?.left ?? outcome.left + over })
    }
  }

  /** One run of the script: on a cluster all keys are of one group. */
  async #step(charges: readonly WindowCharge[], { mode, id = '' }: ChargeOptions): Promise<readonly WindowOutcome[]> {
    const { link, clock, prefix } = this.#options
    const memory = memoryKey(charges, id)
    const keys = charges.map((charge) => this.#key(charge, charge.rule.algorithm))
    if (memory !== '') keys.push(`${prefix}{${charges[0]?.group ?? charges[0]?.key}}:d:${digest(memory)}`)
    const numbers = charges.flatMap((charge) => argumentsOf(charge, clock.now()))
    const args = [mode, memory === '' ? 0 : REMEMBER_MS, id, ...numbers]
    const { outcomes } = await link.run((client) => script.run(client, keys, args))
    if (outcomes.length !== charges.length) throw unexpected()
    return outcomes
  }

  async #windows(charges: readonly FixedCharge[], mode: SingleMode): Promise<readonly WindowOutcome[]> {
    const keys = charges.map((charge) => this.#key(charge, charge.rule.algorithm))
    const outcomes = await this.#options.link.run((client) => chargeWindows(client, keys, { charges, mode }))
    if (outcomes === undefined) throw unexpected()
    return outcomes
  }

  #key({ key, group = key }: PlaceLeft | LimitCharge, algorithm: LimitRule['algorithm']): string {
    return `${this.#options.prefix}{${group}}:${key}:${algorithm}`
  }
}

/** Of a charge that nobody was asked for, since another one was refused. */
const UNASKED: WindowOutcome = { granted: 0, isExceeded: false, left: 0, resetMs: 0, retryAfterMs: 0, window: 0 }

/** How charges are settled that need no step of their own; of a single charge, "all" is "each". */
function singleMode(charges: readonly WindowCharge[], { mode, id = '' }: ChargeOptions): SingleMode | undefined {
  if (id !== '' || mode === 'part') return undefined
  if (mode === 'all') return charges.length === 1 ? 'each' : undefined
  return mode
}

function isCluster({ client }: RedisLink): boolean {
  return client.isCluster
}

function byGroup(charges: readonly WindowCharge[]): readonly (readonly WindowCharge[])[] {
  return [...Map.groupBy(charges, ({ key, group = key }) => group).values()]
}

function argumentsOf({ rule, amount, window = 0, ahead = 0 }: WindowCharge, now: number): (string | number)[] {
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

function readReply(raw: unknown): Reply {
  if (!Array.isArray(raw) || raw.length % NUMBERS !== 1) throw unexpected()
  const [now = 0, ...numbers] = raw.map(Number)
  if (numbers.some((each) => !Number.isFinite(each))) throw unexpected()
  const outcomes: WindowOutcome[] = []
  for (let at = 0; at < numbers.length; at += NUMBERS) {
    const [granted = 0, fits, left = 0, resetMs = 0, retry = 0, window = 0] = numbers.slice(at, at + NUMBERS)
    const retryAfterMs = retry < 0 ? Number.POSITIVE_INFINITY : retry
    outcomes.push({ granted, isExceeded: fits !== 1, left, resetMs, retryAfterMs, window })
  }
  return { now, outcomes }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function unexpected(): IntermixError {
  return new IntermixError('BACKEND_FAILED', 'unexpected reply of the script of quotas')
}
