// Holds what came of a request at a filter against what the oracle allows: only what a client or an upstream would see is
// looked at, and what the filter says of tier and age.

import type { HeaderLine } from '../../helpers/proxy-wasm/header-lines.ts'
import { type AttributeBag, MapBag } from '../../../src/kernel/attribute-bag.ts'
import type { ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import { describeBag } from '../generate-bag.ts'
import { type Judge, WrongAnswer } from '../judge.ts'
import { lifeProblem } from '../judge-life.ts'
import { conclude, objection, type Told } from '../oracle/answer.ts'
import { configText } from '../oracle/config-text.ts'
import type { ConfigModel } from '../oracle/model.ts'
import { possibilities, type Possibility } from '../oracle/possible.ts'
import type { RevokedAt } from '../revoked.ts'
import { callsIn } from '../told.ts'
import { type SimulatedVerdict, UNBOUNDED_USES, verdictAt } from '../verdicts.ts'
import type { World } from '../world.ts'
import { ENVOY_WORDS } from './envoy-words.ts'
import { isLedTo, type Seen } from './seen.ts'

/** The longest that a handler's failures keep it from being asked again: breaker and failure memory. */
const RECOVERY_MS = 62_000
/** Ages become whole milliseconds at the node and at the filter. */
const ROUNDED_MS = 2

export interface FilterAnswered {
  /** By which it may have been answered. */
  readonly configs: readonly ConfigModel[]
  /** `undefined` where the request is one that no door takes. */
  readonly bag: AttributeBag | undefined
  readonly headers: readonly HeaderLine[]
  readonly seen: Seen
  /** The numbers of the calls that it shows to be made of. */
  readonly calls: ReadonlySet<string>
  readonly tier: string
  readonly ageMs: number
  readonly askedAt: number
  readonly answeredAt: number
  /** Who may have told it on, each of whom counts all of the way as its age: nodes, and sidecars. */
  readonly tellers: number
  readonly revokedAt: RevokedAt
}

export class FilterJudge {
  readonly #world: World
  readonly #judge: Judge
  readonly #shows: boolean
  /** By the number of a call: how often filters might give its verdict, and did. */
  readonly #handedOut = new Map<string, number>()
  readonly #given = new Map<string, number>()

  /** @param shows whether wrong answers are told with their configs */
  constructor(world: World, judge: Judge, shows: boolean) {
    this.#world = world
    this.#judge = judge
    this.#shows = shows
  }

  /** A node has told a filter an answer. @throws WrongAnswer */
  handedOut(told: ToldAnswer): void {
    // Uses of what nobody can keep are nobody's.
    const validUses = told.shape === undefined || told.answer.validForMs === 0 ? 0 : told.answer.validUses
    this.#judge.granted({ answer: { ...told.answer, validUses } })
    for (const call of callsIn(told.answer)) this.#handedOut.set(call, (this.#handedOut.get(call) ?? 0) + 1 + validUses)
  }

  /** @throws WrongAnswer */
  judge(answered: FilterAnswered): void {
    const { bag, seen, calls } = answered
    if (bag === undefined) {
      if (seen.status === 400) return
      throw this.#wrong(answered, 'the node would have refused it')
    }
    const mayFail = this.#world.wasDownWithin(RECOVERY_MS)
    const problems = answered.configs.map((config) => this.#problem(answered, bag, config, mayFail))
    if (!problems.includes(undefined)) throw this.#wrong(answered, problems[0] ?? '')
    for (const call of calls) {
      const ageMs = answered.answeredAt - (this.#world.calledAt.get(call) ?? 0)
      if (ageMs > answered.ageMs + ROUNDED_MS) throw this.#wrong(answered, `call ${call} was made ${ageMs} ms ago`)
      const given = (this.#given.get(call) ?? 0) + 1
      this.#given.set(call, given)
      const most = this.#handedOut.get(call) ?? 0
      if ((this.#world.granted.get(call) ?? 0) < UNBOUNDED_USES && given > most)
        throw this.#wrong(answered, `filters have given call ${call} ${given} times, and had ${most} uses of it`)
    }
  }

  /** Why no evaluation by a config leads to it; `undefined` where one does. */
  #problem(answered: FilterAnswered, bag: AttributeBag, config: ConfigModel, mayFail: boolean): string | undefined {
    let problem: string | undefined
    const all = possibilities(config, bag, mayFail)
    for (const possibility of all) {
      const from = Math.max(answered.revokedAt(possibility.bag), answered.answeredAt - answered.ageMs - ROUNDED_MS)
      const search = new Search(possibility, answered, { versions: this.#world.versionsSince(from), mayFail })
      const isFound = search.run((verdicts) => {
        const wrong = this.#lifeProblem(answered, possibility, verdicts)
        problem ??= wrong
        return wrong === undefined
      })
      if (isFound) return undefined
    }
    const { version } = this.#world
    const right = all.map(({ bag: completed, evaluated }) => {
      const { questions } = evaluated
      const verdicts = questions.map(({ handler, instance, value }) =>
        verdictAt(handler.salt, instance, value, version),
      )
      return JSON.stringify(conclude(evaluated, verdicts, completed))
    })
    return problem ?? `right would be ${right.join(' or ')}`
  }

  #lifeProblem(answered: FilterAnswered, possibility: Possibility, verdicts: Verdicts): string | undefined {
    const { tier, ageMs, answeredAt, askedAt } = answered
    const tookMs = answeredAt - askedAt
    const answer = { tier: tier === 'stale' ? tier : 'local', ageMs, validForMs: 0, validUses: 0 } as const
    return lifeProblem({ ...answer, ...NOTHING_ELSE }, possibility, verdicts, {
      tookMs,
      onWayMs: answered.tellers * tookMs,
      paidMs: undefined,
      isKept: false,
      isRefused: false,
      roundedMs: ROUNDED_MS,
      mayBeLost: true,
    })
  }

  #wrong(
    { bag, headers, seen, tier, ageMs, askedAt, answeredAt, configs }: FilterAnswered,
    problem: string,
  ): WrongAnswer {
    const shown = this.#shows ? `\n${configs.map((each) => configText(each, ENVOY_WORDS)).join('\n\n')}` : ''
    return new WrongAnswer(
      `at +${askedAt} ${JSON.stringify(headers)} ${describeBag(bag ?? new MapBag(new Map()))} was answered ${JSON.stringify(seen)} ` +
        `(${tier}, ${ageMs} ms old, after ${answeredAt - askedAt} ms): ${problem}${shown}`,
    )
  }
}

const NOTHING_ELSE = {
  status: { code: 0, message: '' },
  referenced: [],
  requestHeaders: [],
  responseHeaders: [],
} as const

type Verdicts = readonly (SimulatedVerdict | undefined)[]

interface Choices {
  /** Of the world, while the parts of the answer were made. */
  readonly versions: readonly number[]
  readonly mayFail: boolean
}

/** Looks for what handlers may have said that leads to what was seen. */
class Search {
  readonly #possibility: Possibility
  readonly #answered: FilterAnswered
  readonly #choices: Choices
  readonly #verdicts: (SimulatedVerdict | undefined)[] = []

  constructor(possibility: Possibility, answered: FilterAnswered, choices: Choices) {
    this.#possibility = possibility
    this.#answered = answered
    this.#choices = choices
  }

  run(suits: (verdicts: Verdicts) => boolean): boolean {
    return this.#from(0, suits)
  }

  #from(at: number, suits: (verdicts: Verdicts) => boolean): boolean {
    const { evaluated, bag } = this.#possibility
    const { seen, headers } = this.#answered
    const { versions, mayFail } = this.#choices
    const step = evaluated.steps[at]
    const verdicts = this.#verdicts
    if (step === undefined) {
      const told: Told = conclude(evaluated, verdicts, bag)
      return isLedTo(seen, told, headers) && suits([...verdicts])
    }
    const goesOn = () => {
      const given = objection(step, step.question === undefined ? undefined : verdicts[step.question])
      if (given !== undefined && seen.status === 0) return false
      return this.#from(at + 1, suits)
    }
    const { question } = step
    if (question === undefined || question < verdicts.length) return goesOn()
    const { handler, instance, value } = evaluated.questions[question] as (typeof evaluated.questions)[0]
    const possible: (SimulatedVerdict | undefined)[] = versions.map((version) =>
      verdictAt(handler.salt, instance, value, version),
    )
    if (mayFail && handler.adapter === 'remote') possible.push(undefined)
    for (const verdict of possible) {
      verdicts[question] = verdict
      if (goesOn()) return true
      verdicts.length = question
    }
    return false
  }
}
