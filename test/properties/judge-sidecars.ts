// Holds what nodes tell sidecars, and what these make of it, against what the oracle allows.

import type { NodeQuestion } from '../../src/client/nodes/nodes.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { QuotaGrant } from '../../src/kernel/services.ts'
import { Code } from '../../src/kernel/status.ts'
import type { ToldAnswer, ToldGrant } from '../../src/wire/batch/answer-batch.ts'
import { LeasedGrants, UNLIMITED } from './judge-grants.ts'
import { outcomesTold, type PaidAnswer, PaidAnswers, paidUntil, REFUSED_MS } from './judge-paid.ts'
import { countedBy, countersOf } from './oracle/charges.ts'
import { type ConfigModel, fullName } from './oracle/model.ts'
import { possibilities, type Possibility } from './oracle/possible.ts'
import { type Demand, findNamed, grantsOf, grantText, isFilled } from './oracle/quota.ts'
import { codeTold } from './told.ts'
import { chargeText } from './verdicts.ts'
import { counterOf, type WindowOutcome } from './windows.ts'
import type { World } from './world.ts'

/** What a node has told a sidecar. */
export interface ToldTo {
  readonly sidecar: string
  /** Under which was noted what is charged for it. */
  readonly id: string
  readonly question: NodeQuestion
  readonly told: ToldAnswer
  /** Those of the node when it was asked, and when its answer came. */
  readonly configs: readonly ConfigModel[]
  readonly askedAt: number
  readonly arrivedAt: number
  /** Whether it was asked ahead of need. */
  readonly isBackground: boolean
}

/** A quota that a caller of a sidecar has named, and what it was granted. */
export interface Granted {
  readonly sidecar: string
  readonly id: string
  readonly config: ConfigModel
  readonly readings: readonly Possibility[]
  readonly name: string
  readonly demand: Demand
  readonly grant: QuotaGrant
  readonly at: number
}

export class SidecarJudge {
  readonly #world: World
  readonly #paid = new PaidAnswers()
  readonly #grants = new LeasedGrants()
  /** Uses that sidecars gave and had paid for before, and those that they gave back; quotas that they granted of what was leased. */
  paidUses = 0
  returnedUses = 0
  leased = 0

  constructor(world: World) {
    this.#world = world
  }

  /** Says what is wrong with what a node has told; `undefined` where nothing is. */
  told(given: ToldTo, mayFail: boolean): string | undefined {
    return this.#toldAnswer(given) ?? this.#toldGrants(given, mayFail)
  }

  #toldAnswer({ sidecar, id, told, isBackground }: ToldTo): string | undefined {
    const { answer, shape, isPaid } = told
    const { windows, charges } = this.#world
    const outcomes = windows.outcomesOf(id)
    if (isPaid && isBackground) this.#paid.unasked(sidecar, outcomes)
    const isHungOn = isPaid || answer.status.code === Code.RESOURCE_EXHAUSTED
    if (!isHungOn || shape === undefined || answer.validForMs === 0) return undefined
    const first = { charges: charges.get(id) ?? [], outcomes }
    return this.#paid.told(sidecar, first, windows.outcomesOf(`${id} ahead`), answer.validUses)
  }

  #toldGrants(given: ToldTo, mayFail: boolean): string | undefined {
    const { sidecar, id, question, told, askedAt, arrivedAt } = given
    for (const [name, grant] of told.grants) {
      const demand = question.quotas?.get(name) ?? { amount: 0, bestEffort: false }
      const asked = { name, demand, mayFail, outcomes: this.#world.windows.outcomesOf(id) }
      const readings = given.configs.flatMap((config) =>
        possibilities(config, question.bag, mayFail).map((possibility) => ({ config, possibility })),
      )
      const possible = readings.flatMap(({ config, possibility: { rules, bag } }) =>
        grantsOf(config, rules, bag, asked),
      )
      const named = readings.map(({ config, possibility }) => this.#named(config, possibility, name, demand, id))
      const outcome = named.find((found) => found.outcome !== undefined)?.outcome
      const problem = grantProblem(grant, possible, outcome)
      if (problem !== undefined) return `a node grants of ${name} ${problem}`
      const window =
        outcome === undefined || outcome.granted < grant.granted
          ? undefined
          : { window: outcome.window, windowMs: outcome.standing.windowMs ?? 0 }
      const leftMs = Math.max(0, Math.floor(grant.validForMs - (arrivedAt - askedAt)))
      const { granted, shape } = grant
      const lot = { asked: demand.amount, granted, arrivedAt, leftMs, isShared: shape !== undefined }
      for (const { counter, isLimited } of new Map(named.map((found) => [found.counter, found])).values()) {
        this.#grants.told(`${sidecar} ${counter}`, { ...lot, window: isLimited ? window : UNLIMITED })
      }
    }
    return undefined
  }

  /** What a quota is counted by for a request. */
  #named(config: ConfigModel, { rules, bag }: Possibility, name: string, { amount }: Demand, id: string) {
    const found = findNamed(config, rules, bag, name)
    if (found === undefined) return { counter: `unlimited ${name}`, isLimited: false, outcome: undefined }
    const { handler, instance, dimensions } = found
    if (!handler.windows || !isFilled(dimensions)) return { counter: 'none', isLimited: true, outcome: undefined }
    const text = chargeText(fullName(instance.name, 'instance'), amount, dimensions)
    const outcome = this.#world.windows.outcomesOf(id).get(`${fullName(handler.name, 'handler')} ${text}`)
    return { counter: counterOf(countedBy(handler, instance, dimensions)), isLimited: true, outcome }
  }

  /** Says what is wrong with what a sidecar has granted; `undefined` where nothing is. */
  granted({ sidecar, id, config, readings, name, demand, grant, at }: Granted): string | undefined {
    const counters = new Set(readings.map((reading) => this.#named(config, reading, name, demand, id).counter))
    let problem: string | undefined
    for (const counter of counters) {
      const wrong = this.#grants.problem(`${sidecar} ${counter}`, { demand, at }, grant)
      problem = wrong === undefined ? undefined : (problem ?? wrong)
      if (wrong === undefined) break
    }
    const [counter = ''] = counters
    // Where generators may have failed, nobody knows which it was.
    if (problem !== undefined || counters.size > 1) return problem
    if (this.#grants.isLeased(`${sidecar} ${counter}`, at)) this.leased++
    return this.#grants.use(`${sidecar} ${counter}`, grant.granted, at)
  }

  /** Whether two requests would be charged to the same counter for a quota. */
  isSameCounter(config: ConfigModel, one: Possibility, other: Possibility, name: string): boolean {
    const [mine, theirs] = [one, other].map(
      (reading) => this.#named(config, reading, name, { amount: 0, bestEffort: false }, '').counter,
    )
    return mine === theirs
  }

  /** Answers for which a sidecar has paid, or was refused, that it may give now. */
  kept(sidecar: string, at: number): readonly PaidAnswer[] {
    return this.#paid.kept(sidecar, at)
  }

  /** What was charged for a request, and until when its answer may be given again. */
  chargedFor(id: string): PaidAnswer {
    const { windows, charges } = this.#world
    const [outcomes, ahead] = [windows.outcomesOf(id), windows.outcomesOf(`${id} ahead`)]
    const until = paidUntil(outcomes, ahead)
    return { charges: charges.get(id) ?? [], outcomes: outcomesTold(outcomes, ahead), until }
  }

  use(sidecar: string, answer: PaidAnswer, times: number, at: number): string | undefined {
    this.paidUses += times
    return this.#paid.use(sidecar, answer, times, at)
  }

  givenBack(
    sidecar: string,
    config: ConfigModel,
    bag: AttributeBag,
    uses: number,
    mayFail: boolean,
  ): string | undefined {
    const readings = possibilities(config, bag, mayFail).map((reading) => ({ ...reading, named: [] }))
    const charged = readings.map((reading) => countersOf(config, reading))
    const [counters = []] = charged
    // Where generators may fail, it may be for others.
    if (new Set(charged.map((all) => JSON.stringify(all))).size > 1) return undefined
    this.returnedUses += uses
    return this.#paid.giveBack(sidecar, counters, uses)
  }

  /** What was charged for it is not asked for any more. */
  forget(id: string): void {
    const { windows, charges } = this.#world
    charges.delete(id)
    for (const name of [id, `${id} ahead`]) {
      windows.forget(name)
      charges.delete(name)
    }
  }
}

/** @param possible grants in texts, with how long they are valid at most */
function grantProblem(
  { status, granted, validForMs, shape }: ToldGrant,
  possible: readonly string[],
  outcome: WindowOutcome | undefined,
): string | undefined {
  const text = grantText(codeTold(status.code), granted, validForMs)
  const partsOf = (grant: string) => grant.split(' ').map(Number) as [number, number, number]
  const isPossible = possible.some((grant) => {
    const [code, amount, mostMs] = partsOf(grant)
    return code === codeTold(status.code) && amount === granted && validForMs <= mostMs
  })
  if (!isPossible) return `${text}, and may grant ${possible.join(' or ')}`
  if (shape === undefined || outcome === undefined) return undefined
  const { usableUntil, at, standing } = outcome
  const mostMs = granted > 0 ? usableUntil - at : Math.min(REFUSED_MS, standing.resetMs)
  return validForMs > mostMs ? `${text}, and others may have it for ${mostMs} ms` : undefined
}
