// Limits that all nodes share: one script settles what is charged together, by the clock of Redis.

import type { ChargeMode, ChargeOptions, PlaceLeft } from '../adapter-kit/limits.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { ownerOf } from '../redis/key-slot.ts'
import { type BatchRun, ChargeBatches, type SingleMode } from './charge-batches.ts'
import { charge, type ChargeReply, keyOf } from './charge-script.ts'
import { assertCharges, mergeCharges, type WindowCharge, type WindowOutcome } from './charge.ts'
import { Overdue } from './overdue.ts'
import { ServerTime } from './server-time.ts'
import { areFixed, chargeWindows } from './window-script.ts'

/** A call that had less time says nothing of a server that did not answer it. */
const LEAST_WAIT_MS = 4

export interface RedisLimitsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** What keys begin with: of the installation and the handler. */
  readonly prefix: string
}

export interface SharedChargeOptions extends ChargeOptions {
  /** Hears of what Redis has charged although the call was rejected: the answer came too late, or a part of it was missing. */
  readonly onCharged?: (charge: WindowCharge, outcome: WindowOutcome) => void
}

type StepRun = Omit<BatchRun, 'mode'> & Pick<ChargeOptions, 'mode' | 'id'>

/** One for each charge; `undefined` where a part of the cluster gave no answer, of charges that go each by itself. */
type Outcomes = readonly (WindowOutcome | undefined)[]

export class RedisLimits {
  readonly #options: RedisLimitsOptions
  readonly #batches: Readonly<Record<SingleMode, ChargeBatches>>
  readonly #time = new ServerTime()
  readonly #overdue: Overdue

  constructor(options: RedisLimitsOptions) {
    const { link, clock } = options
    this.#options = options
    this.#overdue = new Overdue({ clock, isConnected: () => link.state() === 'up' })
    const run = (charges: readonly WindowCharge[], batch: BatchRun) => this.#run(charges, batch)
    this.#batches = {
      each: new ChargeBatches({ clock, mode: 'each', run }),
      count: new ChargeBatches({ clock, mode: 'count', run }),
    }
  }

  /**
   * What Redis is asked too late for an answer within the time of its link, or by the deadline, it does not charge.
   * @throws IntermixError INVALID_REQUEST for senseless charges, REDIS_UNAVAILABLE where Redis gives no answer: then nothing
   * was charged, but for what `onCharged` hears, and for answers that got lost on their way.
   */
  async charge(charges: readonly WindowCharge[], options: SharedChargeOptions): Promise<Outcomes> {
    const { merged, share } = mergeCharges(charges)
    assertCharges(merged, options.id ?? '')
    const single = singleMode(merged, options)
    if (single !== undefined && !isCluster(this.#options.link)) {
      this.#assertAnswering(merged)
      const { deadline = Number.POSITIVE_INFINITY, onCharged } = options
      return share(await this.#batches[single].charge(merged, { deadline, onCharged }))
    }
    const groups = isCluster(this.#options.link) ? byGroup(merged) : [merged]
    const [only] = groups
    if (groups.length === 1 && only !== undefined) return share(await this.#step(only, options))
    const isApart = options.mode === 'each' || options.mode === 'count'
    return share(isApart ? await this.#apart(merged, groups, options) : await this.#inTurn(merged, groups, options))
  }

  /** One command for each counter, however many leave it. */
  async leave(places: readonly PlaceLeft[]): Promise<number> {
    const { link, prefix } = this.#options
    const byKey = Map.groupBy(places, (place) => keyOf(place, 'concurrency', prefix))
    const counts = await link.run((client) =>
      Promise.all(Array.from(byKey, ([key, left]) => client.zrem(key, ...left.map(({ id }) => id)))),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** All groups at once, each by itself. */
  async #apart(
    charges: readonly WindowCharge[],
    groups: readonly (readonly WindowCharge[])[],
    options: SharedChargeOptions,
  ): Promise<Outcomes> {
    const found = await Promise.allSettled(groups.map((group) => this.#step(group, options)))
    const outcomes = new Map<WindowCharge, WindowOutcome>()
    const failures: unknown[] = []
    for (const [at, each] of found.entries()) {
      if (each.status === 'rejected') failures.push(each.reason)
      else groups[at]?.forEach((charge, index) => outcomes.set(charge, each.value[index] as WindowOutcome))
    }
    const [failure] = [...failures.filter((each) => !isUnanswered(each)), ...failures]
    if (failure !== undefined && (outcomes.size === 0 || !isUnanswered(failure))) throw failure
    return charges.map((charge) => outcomes.get(charge))
  }

  /** One group after the other: what was granted is given back where a later one refuses, or has no answer. */
  async #inTurn(
    charges: readonly WindowCharge[],
    groups: readonly (readonly WindowCharge[])[],
    options: SharedChargeOptions,
  ): Promise<Outcomes> {
    const outcomes = new Map<WindowCharge, WindowOutcome>()
    const { mode } = options
    let least = Number.POSITIVE_INFINITY
    for (const group of groups) {
      const limited = mode === 'part' ? group.map((each) => ({ ...each, amount: Math.min(each.amount, least) })) : group
      const found = await this.#step(limited, options).catch((error: unknown) => {
        void this.#giveUp(outcomes, options)
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
  async #giveUp(
    outcomes: Map<WindowCharge, WindowOutcome>,
    { id = '', onCharged }: SharedChargeOptions,
  ): Promise<void> {
    const isForgotten = ([{ rule }]: readonly [WindowCharge, WindowOutcome]) =>
      id === '' || rule.algorithm === 'concurrency'
    for (const each of outcomes) {
      const back = isForgotten(each) ? this.#giveBack(new Map([each]), 0, id) : Promise.reject()
      await back.catch(() => onCharged?.(...each))
    }
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

  async #step(charges: readonly WindowCharge[], options: SharedChargeOptions): Promise<readonly WindowOutcome[]> {
    this.#assertAnswering(charges)
    const { deadline = Number.POSITIVE_INFINITY, onCharged } = options
    const onLate = (outcomes: readonly WindowOutcome[]) => {
      for (const [index, outcome] of outcomes.entries()) onCharged?.(charges[index] as WindowCharge, outcome)
    }
    return await this.#run(charges, { ...options, deadline, onLate })
  }

  /** Whoever gets nothing but the answer of Redis waits for it. */
  #assertAnswering(charges: readonly WindowCharge[]): void {
    const isPatient = charges.some(({ away }) => away === 'closed')
    if (!isPatient && this.#overdue.has(this.#serverOf(charges))) throw unanswered('is overdue with an answer')
  }

  #serverOf([first]: readonly WindowCharge[]): string {
    const { link, prefix } = this.#options
    return first === undefined || !isCluster(link)
      ? ''
      : (ownerOf(link.client, keyOf(first, first.rule.algorithm, prefix)) ?? '')
  }

  /** One run of a script: on a cluster all keys are of one group. */
  async #run(charges: readonly WindowCharge[], run: StepRun): Promise<readonly WindowOutcome[]> {
    const server = this.#serverOf(charges)
    const first = await this.#ask(server, charges, run, this.#options.clock.now())
    // Where Redis finds that the time is over although it is not, or another one, it has said what time it has.
    const outcomes = first.outcomes ?? (await this.#ask(server, charges, run, first.now)).outcomes
    if (outcomes === undefined) throw unanswered('was asked too late')
    return outcomes
  }

  async #ask(
    server: string,
    charges: readonly WindowCharge[],
    { mode, id, deadline, onLate }: StepRun,
    now: number,
  ): Promise<ChargeReply> {
    const { link, clock } = this.#options
    const askedAt = clock.monotonic()
    const waitMs = Math.min(link.timeoutMs, deadline - askedAt)
    if (waitMs <= 0) throw unanswered('was asked too late')
    const until = this.#time.at(askedAt + waitMs)
    let isGivenUp = false
    const ask = async (client: RedisLink['client']) => {
      const reply = await this.#script(client, charges, { mode, id, until, now })
      const { outcomes } = reply
      this.#time.heard(reply.now, clock.monotonic())
      this.#overdue.answered(server)
      if (isGivenUp && outcomes !== undefined) onLate(outcomes)
      return reply
    }
    try {
      return await link.run(ask, waitMs)
    } catch (error) {
      isGivenUp = true
      const isHeard = !(error instanceof IntermixError && error.backend === 'unheard')
      if (isUnanswered(error) && isHeard && waitMs >= LEAST_WAIT_MS) this.#missed(server, charges)
      throw error
    }
  }

  #script(
    client: RedisLink['client'],
    charges: readonly WindowCharge[],
    { mode, id = '', until, now }: { mode: ChargeMode; id?: string | undefined; until: number; now: number },
  ): Promise<ChargeReply> {
    const { prefix } = this.#options
    const isSingle = id === '' && (mode === 'each' || mode === 'count')
    if (!isSingle || !areFixed(charges)) return charge(client, charges, { mode, id, prefix, now, until })
    const keys = charges.map((each) => keyOf(each, each.rule.algorithm, prefix))
    return chargeWindows(client, keys, { charges, mode, until })
  }

  /** Asks with a look at the same counters, which the same server keeps. */
  #missed(server: string, charges: readonly WindowCharge[]): void {
    const looks = charges.map((each) => ({ ...each, amount: 0 }))
    this.#overdue.missed(server, () =>
      this.#options.link.run((client) =>
        this.#script(client, looks, { mode: 'each', until: 0, now: this.#options.clock.now() }),
      ),
    )
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

/** Whether Redis gave no answer: nothing is known of what was charged. */
export function isUnanswered(error: unknown): boolean {
  return error instanceof IntermixError && error.code === 'REDIS_UNAVAILABLE'
}

function unanswered(what: string): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', `Redis, which counts limits, ${what}`)
}
