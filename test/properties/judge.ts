// Holds what a node answered against what the oracle allows.

import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import { describeBag, type BagSource } from './generate-bag.ts'
import { endingsOf } from './judge-charges.ts'
import { lifeProblem } from './judge-life.ts'
import { contradiction, toldLikewise } from './judge-references.ts'
import { conclude, type Told } from './oracle/answer.ts'
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
  /** Whether a sidecar gave it: the uses were handed out to that. */
  readonly bySidecar: boolean
  /** Whether it is an answer that a sidecar kept. */
  readonly isKept: boolean
  readonly references: boolean
  readonly quotas: ReadonlyMap<string, Demand>
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
}

export class Judge {
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
    this.#pick = pick
    this.#bags = bags
  }

  /** Quotas of shadow rules may be charged after the answer: to be asked once nothing is under way. @throws WrongAnswer */
  judge(answered: Answered): Judged {
    const { config, bag } = answered
    const mayFail = this.#world.wasDownWithin(RECOVERY_MS)
    const all = possibilities(config, bag, mayFail)
    const found = this.#find(answered, all, mayFail)
    this.#judgeReferences(answered, found, mayFail)
    this.#judgeQuotas(answered, all, mayFail)
    this.#judgeUses(answered)
    this.#judgeAge(answered)
    return { config, possibilities: all, chargesShadows: answered.charging === 'all' && found.isAllowed }
  }

  #find(answered: Answered, all: readonly Possibility[], mayFail: boolean): Found {
    const { config, alsoRead, outcome, id } = answered
    const { answer } = outcome
    const told = toldBy(answer)
    const charges = this.#world.charges.get(id) ?? []
    const request = { ...answered, told, charges, mayFail }
    const others = alsoRead === undefined ? [undefined] : possibilities(config, alsoRead, mayFail)
    const tookMs = answered.answeredAt - answered.askedAt
    const onWayMs = answered.bySidecar ? tookMs : 0
    // Rounded twice where something was waited for, and once more where the caller kept it.
    const roundedMs = answered.isKept ? 4 : 2
    const mayBeLost = answered.bySidecar && answer.validForMs === 0
    let problem: string | undefined
    for (const possibility of all) {
      const from = Math.max(answered.revokedAt(possibility.bag), answered.answeredAt - answer.ageMs)
      const versions = this.#world.versionsSince(from)
      for (const other of others) {
        for (const ending of endingsOf(request, other === undefined ? [possibility] : [possibility, other])) {
          const verdicts = findVerdicts(possibility, ending.told, { versions, mayFail }, (candidate) => {
            const wrong = lifeProblem(answer, possibility, candidate, {
              tookMs,
              onWayMs,
              isPaid: ending.isPaid,
              roundedMs,
              mayBeLost,
            })
            problem ??= wrong
            return wrong === undefined
          })
          const isAllowed = ending.told === 'allowed' || told.code === 0
          if (verdicts !== undefined) return { possibility, verdicts, isAllowed }
        }
      }
    }
    const right = all.map((possibility) => JSON.stringify(this.#newest(possibility)))
    throw this.#wrong(
      answered,
      problem ?? `it charged [${charges.join('; ')}]; apart from quotas right would be ${right.join(' or ')}`,
    )
  }

  #newest({ bag, evaluated }: Possibility): Told {
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
    const told = JSON.stringify(toldLikewise(config, other, found, this.#world.version))
    if (told === JSON.stringify(toldBy(outcome.answer))) return
    throw this.#wrong(
      answered,
      `by its references ${JSON.stringify(referenced)} it would be given to ${describeBag(other)}, which gets ${told}`,
    )
  }

  #judgeQuotas(answered: Answered, all: readonly Possibility[], mayFail: boolean): void {
    const { config, bag, outcome, quotas } = answered
    const isGranted = outcome.answer.status.code === 0 && answered.charging !== 'none'
    if (outcome.quotas.size !== (isGranted ? quotas.size : 0)) {
      throw this.#wrong(answered, `it has ${outcome.quotas.size} quotas`)
    }
    for (const [name, { status, granted, validForMs, referenced }] of outcome.quotas) {
      const text = grantText(codeTold(status.code), granted, validForMs)
      const demand = quotas.get(name) as Demand
      const said = all.flatMap((possibility) => this.#grants(possibility, config, { name, demand, mayFail }))
      // A sidecar that does not know what it depended on lets nobody keep it.
      const possible = answered.bySidecar ? [...said, ...said.map(withoutLife)] : said
      const isPooled = answered.bySidecar && (granted === demand.amount || granted === 0)
      if (!isPooled && !possible.includes(text)) {
        throw this.#wrong(answered, `the quota ${name} is ${text}, and may be ${possible.join(' or ')}`)
      }
      if (!answered.references) continue
      const wrong = contradiction(bag, referenced)
      if (wrong !== undefined) throw this.#wrong(answered, `the quota ${name}: ${wrong}`)
      if (mayFail || validForMs === 0) continue
      const other = this.#bags.agreeing(bag, referenced)
      const [possibility] = possibilities(config, other, false) as readonly [Possibility]
      const [given] = grantsOf(config, possibility.rules, possibility.bag, { name, demand, mayFail })
      if (given === text) continue
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
    const { outcome, keeps, bySidecar } = answered
    const times = 1 + (keeps ? outcome.answer.validUses : 0)
    for (const call of callsIn(outcome.answer)) {
      const problem = bySidecar ? this.#giveBySidecar(call, times) : this.#give(call, times)
      if (problem !== undefined) throw this.#wrong(answered, problem)
    }
  }

  /** A node has told a sidecar an answer, with the uses that it hands out. @throws WrongAnswer */
  handedOut({ answer }: Pick<CheckOutcome, 'answer'>): void {
    const times = 1 + answer.validUses
    for (const call of callsIn(answer)) {
      this.#handedOut.set(call, (this.#handedOut.get(call) ?? 0) + times)
      const problem = this.#give(call, times)
      if (problem !== undefined) throw new WrongAnswer(problem)
    }
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

const withoutLife = (grant: string) => grant.replace(/\d+$/, '0')
