// Holds what a node answered against what the oracle allows.

import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import { describeBag, type BagSource } from './generate-bag.ts'
import { type Ending, endingsOf, readingOf } from './judge-charges.ts'
import { lifeProblem } from './judge-life.ts'
import type { PaidAnswer } from './judge-paid.ts'
import { contradiction, toldLikewise } from './judge-references.ts'
import { SidecarJudge, type ToldTo } from './judge-sidecars.ts'
import { conclude, type Told } from './oracle/answer.ts'
import { countersOf } from './oracle/charges.ts'
import { configText } from './oracle/config-text.ts'
import type { ConfigModel } from './oracle/model.ts'
import { findVerdicts, possibilities, type Possibility, type Verdicts } from './oracle/possible.ts'
import { type Demand, grantsOf, grantText } from './oracle/quota.ts'
import type { Picker } from './random.ts'
import type { RevokedAt } from './revoked.ts'
import { callsIn, codeTold, toldBy } from './told.ts'
import { UNBOUNDED_USES, verdictAt } from './verdicts.ts'
import type { World } from './world.ts'

/** An answer that no evaluation within its bounds gives. */
export class WrongAnswer extends Error {}

/** The longest that a handler's failures keep it from being asked again: breaker and failure memory. */
const RECOVERY_MS = 62_000

/** A request, what it was asked of, and what came back when. */
export interface Answered {
  readonly config: ConfigModel
  readonly bag: AttributeBag
  readonly outcome: CheckOutcome
  readonly askedAt: number
  readonly answeredAt: number
  readonly keeps: boolean
  /** The sidecar that gave it: the uses were handed out to that. */
  readonly sidecar: string | undefined
  /** Whether it is an answer that a sidecar kept. */
  readonly isKept: boolean
  readonly references: boolean
  readonly quotas: ReadonlyMap<string, Demand>
  /** By which of them its quotas may have been granted, beside `config`: those of the nodes that were asked for quotas alone. */
  readonly quotaConfigs: readonly ConfigModel[]
  readonly charging: 'all' | 'named' | 'none'
  /** What the request may also be taken for. */
  readonly alsoRead: AttributeBag | undefined
  /** Its name, under which its charges are noted. */
  readonly id: string
  readonly revokedAt: RevokedAt
}

export interface Judged {
  readonly config: ConfigModel
  /** Those that the request had. */
  readonly possibilities: readonly Possibility[]
  /** Whether shadow rules charge their quotas for it. */
  readonly chargesShadows: boolean
}

interface Found {
  /** Whether the rules let the request pass, quotas aside. */
  readonly isAllowed: boolean
  readonly possibility: Possibility
  readonly verdicts: Verdicts
  readonly ending: Ending
  /** What was charged for it, to this request or to one before. */
  readonly charged: PaidAnswer
}

export class Judge {
  readonly sidecars: SidecarJudge
  readonly #world: World
  readonly #pick: Picker
  readonly #bags: BagSource
  /** By the number of a call: how often its verdict was given, by nodes and by callers that keep answers. */
  readonly #given = new Map<string, number>()
  /** And how often sidecars might give it, and did. */
  readonly #handedOut = new Map<string, number>()
  readonly #givenBySidecars = new Map<string, number>()

  constructor(world: World, pick: Picker, bags: BagSource) {
    this.#world = world
    this.sidecars = new SidecarJudge(world)
    this.#pick = pick
    this.#bags = bags
  }

  /** Quotas of shadow rules may be charged after the answer: to be asked once nothing is under way. @throws WrongAnswer */
  judge(answered: Answered): Judged {
    const { config, bag } = answered
    const { mayFail } = this
    const all = possibilities(config, bag, mayFail)
    const found = this.#find(answered, all, mayFail)
    this.#judgeReferences(answered, found, mayFail)
    this.#judgeQuotas(answered, all, mayFail)
    this.#judgeUses(answered)
    this.#judgePaidUses(answered, found)
    this.#judgeAge(answered)
    return { config, possibilities: all, chargesShadows: answered.charging === 'all' && found.isAllowed }
  }

  /** Whether a handler's failures may have to do with an answer of now. */
  get mayFail(): boolean {
    return this.#world.wasDownWithin(RECOVERY_MS)
  }

  #find(answered: Answered, all: readonly Possibility[], mayFail: boolean): Found {
    const { config, alsoRead, outcome, id, sidecar, isKept, answeredAt } = answered
    const { answer } = outcome
    const told = toldBy(answer)
    const own = this.sidecars.chargedFor(id)
    const others = alsoRead === undefined ? [undefined] : possibilities(config, alsoRead, mayFail)
    const tookMs = answeredAt - answered.askedAt
    // Where something was waited for, twice at a node and once at a sidecar.
    const life = { tookMs, onWayMs: sidecar === undefined ? 0 : tookMs, roundedMs: isKept ? 4 : 3 }
    const mayBeLost = sidecar !== undefined && answer.validForMs === 0
    const isPaidAhead = isKept && answered.charging === 'all'
    const paid = isPaidAhead && sidecar !== undefined ? this.sidecars.kept(sidecar, answeredAt) : []
    let problem: string | undefined
    for (const possibility of all) {
      const from = Math.max(answered.revokedAt(possibility.bag), answeredAt - answer.ageMs)
      const versions = this.#world.versionsSince(from)
      for (const other of others) {
        const readings = other === undefined ? [possibility] : [possibility, other]
        for (const charged of [own, ...paid]) {
          const { charges, outcomes, until } = charged
          const paidMs = sidecar === undefined ? 0 : Math.max(0, until - answeredAt)
          const request = { ...answered, told, charges, outcomes, mayFail }
          for (const ending of endingsOf(request, readings)) {
            const verdicts = findVerdicts(possibility, ending.told, { versions, mayFail }, (candidate) => {
              const bounds = {
                ...life,
                mayBeLost,
                paidMs: ending.isPaid ? paidMs : undefined,
                isKept,
                isRefused: ending.told === 'allowed',
              }
              const wrong = lifeProblem(answer, possibility, candidate, bounds)
              problem ??= wrong
              return wrong === undefined
            })
            const isAllowed = ending.told === 'allowed' || told.code === 0
            if (verdicts !== undefined) return { possibility, verdicts, isAllowed, ending, charged }
          }
        }
      }
    }
    const right = all.map((possibility) => JSON.stringify(this.newest(possibility)))
    const charges = `[${own.charges.join('; ')}]${paid.map((each) => ` or before [${each.charges.join('; ')}]`).join('')}`
    throw this.#wrong(
      answered,
      problem ?? `it charged ${charges}; apart from quotas right would be ${right.join(' or ')}`,
    )
  }

  /** What is right now, apart from quotas, if no handler fails. */
  newest({ bag, evaluated }: Possibility): Told {
    const { version } = this.#world
    const verdicts = evaluated.questions.map(({ handler, instance, value }) =>
      verdictAt(handler.salt, instance, value, version),
    )
    return conclude(evaluated, verdicts, bag)
  }

  #judgeReferences(answered: Answered, found: Found, mayFail: boolean): void {
    const { config, bag, outcome } = answered
    const { referenced, validForMs, validUses } = outcome.answer
    if (!answered.references) {
      if (referenced.length > 0) throw this.#wrong(answered, 'it has references that nobody asked for')
      return
    }
    const wrong = contradiction(bag, referenced)
    if (wrong !== undefined) throw this.#wrong(answered, wrong)
    // Where generators may fail, nobody can say what they would tell another request.
    if (mayFail || validForMs === 0 || validUses === 0 || !this.#pick.chance(0.5)) return
    const other = this.#bags.agreeing(bag, referenced)
    const likewise = toldLikewise(config, other, found, this.#world.version)
    const { told } = found.ending
    const isSame = told === 'allowed' ? likewise.code === 0 : JSON.stringify(told) === JSON.stringify(likewise)
    const isCharged = found.ending.isPaid
    if (isSame && (!isCharged || chargesLikewise(answered, found, other))) return
    throw this.#wrong(
      answered,
      `by its references ${JSON.stringify(referenced)} it would be given to ${describeBag(other)}, which gets ` +
        `${JSON.stringify(likewise)}${isCharged ? ', if it is charged the same' : ''}`,
    )
  }

  #judgeQuotas(answered: Answered, all: readonly Possibility[], mayFail: boolean): void {
    const { bag, outcome, quotas, sidecar, id, answeredAt } = answered
    const isGranted = outcome.answer.status.code === 0 && answered.charging !== 'none'
    if (outcome.quotas.size !== (isGranted ? quotas.size : 0)) {
      throw this.#wrong(answered, `it has ${outcome.quotas.size} quotas`)
    }
    for (const [name, grant] of outcome.quotas) {
      const { status, granted, validForMs, referenced } = grant
      const text = grantText(codeTold(status.code), granted, validForMs)
      const demand = quotas.get(name) as Demand
      const outcomes = this.#world.windows.outcomesOf(id)
      const asked = { name, demand, mayFail, outcomes }
      const problems: string[] = []
      const config = [answered.config, ...answered.quotaConfigs].find((each) => {
        const readings = each === answered.config ? all : possibilities(each, bag, mayFail)
        const possible = readings.flatMap((reading) => this.#grants(reading, each, asked))
        if ((sidecar === undefined ? possible : possible.map(withoutLife)).includes(text)) return true
        const granted = { sidecar: sidecar ?? '', id, config: each, readings, name, demand, grant, at: answeredAt }
        const wrong = sidecar === undefined ? `it may be ${possible.join(' or ')}` : this.sidecars.granted(granted)
        if (wrong !== undefined) problems.push(wrong)
        return wrong === undefined
      })
      if (config === undefined) throw this.#wrong(answered, `the quota ${name} is ${text}: ${problems.join(' or ')}`)
      if (!answered.references) continue
      const wrong = contradiction(bag, referenced)
      if (wrong !== undefined) throw this.#wrong(answered, `the quota ${name}: ${wrong}`)
      if (mayFail || validForMs === 0) continue
      const other = this.#bags.agreeing(bag, referenced)
      const [mine, theirs] = [bag, other].map((each) => possibilities(config, each, false)[0]) as [
        Possibility,
        Possibility,
      ]
      const [given] = grantsOf(config, theirs.rules, theirs.bag, { name, demand, mayFail, outcomes })
      // What a counter grants hangs on who came before.
      if (given === text || this.sidecars.isSameCounter(config, mine, theirs, name)) continue
      const references = JSON.stringify(referenced)
      throw this.#wrong(
        answered,
        `by the references ${references} of the quota ${name} (${text}) it would be given to ${describeBag(other)}, which gets ${given}`,
      )
    }
  }

  /** What read an unknown attribute is not kept, whatever came of it. */
  #grants({ bag, rules }: Possibility, config: ConfigModel, asked: Parameters<typeof grantsOf>[3]): readonly string[] {
    const grants = grantsOf(config, rules, bag, asked)
    return bag.hasUnknown ? [...grants, ...grants.map(withoutLife)] : grants
  }

  /** An answer is as old as the oldest verdict in it. */
  #judgeAge(answered: Answered): void {
    const { answer } = answered.outcome
    for (const call of callsIn(answer)) {
      const ageMs = answered.answeredAt - (this.#world.calledAt.get(call) ?? 0)
      if (ageMs > answer.ageMs) throw this.#wrong(answered, `call ${call} was made ${ageMs} ms ago`)
    }
  }

  #judgeUses(answered: Answered): void {
    const { outcome, keeps, sidecar } = answered
    const times = 1 + (keeps ? outcome.answer.validUses : 0)
    for (const call of callsIn(outcome.answer)) {
      const problem = sidecar !== undefined ? this.#giveBySidecar(call, times) : this.#give(call, times)
      if (problem !== undefined) throw this.#wrong(answered, problem)
    }
  }

  /** Of what rules charge for, no more is used than was paid for, nor in another window. */
  #judgePaidUses({ isKept, keeps, outcome, sidecar, answeredAt, ...answered }: Answered, found: Found): void {
    const { status, validUses } = outcome.answer
    if (sidecar === undefined || status.code !== 0 || !found.ending.isPaid) return
    const times = (isKept ? 1 : 0) + (keeps ? validUses : 0)
    const problem = this.sidecars.use(sidecar, found.charged, times, answeredAt)
    if (problem !== undefined) throw this.#wrong({ ...answered, isKept, keeps, outcome, sidecar, answeredAt }, problem)
  }

  /** A node has told a sidecar something, with the uses that it hands out. @throws WrongAnswer */
  handedOut(given: ToldTo): void {
    const wrong = this.sidecars.told(given, this.mayFail)
    if (wrong !== undefined)
      throw new WrongAnswer(`at +${given.arrivedAt} ${describeBag(given.question.bag)}: ${wrong}`)
    this.granted(given.told)
  }

  /** A node has told somebody who keeps answers one, with the uses that it hands out. @throws WrongAnswer */
  granted({ answer }: Pick<CheckOutcome, 'answer'>): void {
    const times = 1 + answer.validUses
    for (const call of callsIn(answer)) {
      this.#handedOut.set(call, (this.#handedOut.get(call) ?? 0) + times)
      const problem = this.#give(call, times)
      if (problem !== undefined) throw new WrongAnswer(problem)
    }
  }

  /** A sidecar says that it has not used so many uses that it has paid for. @throws WrongAnswer */
  givenBack(sidecar: string, config: ConfigModel, bag: AttributeBag, uses: number): void {
    const wrong = this.sidecars.givenBack(sidecar, config, bag, uses, this.mayFail)
    if (wrong !== undefined) throw new WrongAnswer(wrong)
  }

  #give(call: string, times: number): string | undefined {
    const given = (this.#given.get(call) ?? 0) + times
    this.#given.set(call, given)
    const granted = this.#world.granted.get(call) ?? 0
    if (granted >= UNBOUNDED_USES || given <= 1 + granted) return undefined
    return `call ${call} is given ${given} times, and granted ${granted} uses after the first`
  }

  #giveBySidecar(call: string, times: number): string | undefined {
    const given = (this.#givenBySidecars.get(call) ?? 0) + times
    this.#givenBySidecars.set(call, given)
    const granted = this.#world.granted.get(call) ?? 0
    const most = this.#handedOut.get(call) ?? 0
    if (granted >= UNBOUNDED_USES || given <= most) return undefined
    return `sidecars have given call ${call} ${given} times, and had ${most} uses of it`
  }

  #wrong({ bag, outcome, askedAt, answeredAt, config }: Answered, problem: string): WrongAnswer {
    const { answer } = outcome
    const told = JSON.stringify(toldBy(answer))
    const shown = process.env['ORACLE_CONFIG'] === undefined ? '' : `\n${configText(config)}`
    return new WrongAnswer(
      `at +${askedAt} ${describeBag(bag)} was answered ${told} (${answer.tier}, ${answer.ageMs} ms old, valid ` +
        `${answer.validForMs} ms and ${answer.validUses} times, after ${answeredAt - askedAt} ms): ${problem}${shown}`,
    )
  }
}

/** Whether the rules charge another request to the same counters. */
function chargesLikewise({ config, quotas }: Answered, { possibility, charged }: Found, other: AttributeBag): boolean {
  const theirs = possibilities(config, other, false)[0] as Possibility
  const all = [possibility, theirs].map((reading) =>
    JSON.stringify(countersOf(config, readingOf({ config, quotas }, reading))),
  )
  return all[0] === all[1] && charged.outcomes.size > 0
}

const withoutLife = (grant: string) => grant.replace(/[\d.]+$/, '0')
