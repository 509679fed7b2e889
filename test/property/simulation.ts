// The oracle: random configs, requests, config changes, revocations, outages and time, over several nodes that share one
// Redis. Every answer is held against what evaluation without any cache gives, now or at a moment no longer ago than
// the answer itself says and its bounds allow.

import { setImmediate as turn } from 'node:timers/promises'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import type { VerdictOutcome } from '../../src/cache/verdict-request.ts'
import type { VerdictEntry } from '../../src/cache/verdict-entry.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import type { HandlerConfig, Snapshot } from '../../src/config/snapshot.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import type { HeaderOperation } from '../../src/kernel/header-operation.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { combineVerdicts, type SettledPart } from '../../src/policy/combine.ts'
import { type Evaluation, evaluateRules } from '../../src/policy/evaluate.ts'
import { fillHeaders } from '../../src/policy/header-operations.ts'
import type { PolicyState } from '../../src/policy/handler-table.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { BagSource, describeBag } from './generate-bag.ts'
import { changeOne, type ConfigParts, loadParts, type Picker, randomParts, seededPicker } from './generate-config.ts'
import { createSimulatedNode, type SimulatedNode } from './simulated-node.ts'
import { VALID_MS, verdictAt, World, worldAdapters } from './world.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly checks: number
  /** A Redis that nobody else writes to under the prefix; without one the nodes share nothing. */
  readonly link: RedisLink | undefined
  readonly prefix: string
}

export interface SimulationReport {
  readonly checks: number
  /** By tier. */
  readonly tiers: Readonly<Record<string, number>>
  readonly configs: number
  readonly revocations: number
  readonly backendCalls: number
}

/** An answer that no evaluation within its bounds gives. */
export class WrongAnswer extends Error {}

const NODES = 3
const WALL_STEPS_MS = [0, -38_000, 0, 38_000, 0, 0, -3_600_000, 7_000]
/** The longest that a handler's failures keep it from being asked again: breaker and failure memory. */
const RECOVERY_MS = 62_000

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = new Simulation(options)
  return await simulation.run()
}

interface Revoked {
  readonly sequence: number
  readonly at: number
  readonly principal: string | undefined
}

/** A request that a node was asked, what it was when it was asked, and the answer once it is given. */
interface Asked {
  readonly index: number
  readonly bag: AttributeBag
  readonly state: PolicyState
  readonly askedAt: number
  /** Nothing older may be served. */
  readonly floor: number
  readonly pending: Given | Promise<Given>
}

interface Given {
  readonly answer: Answer
  readonly at: number
}

class Simulation {
  readonly #options: SimulationOptions
  readonly #pick: Picker & { readonly random: () => number }
  readonly #clock = new FakeClock()
  readonly #world = new World(this.#clock)
  readonly #adapters = worldAdapters(this.#world)
  readonly #nodes: SimulatedNode[] = []
  readonly #bags: BagSource
  readonly #tiers: Record<string, number> = {}
  /** By node: the revocations that it has applied, with when. */
  readonly #revoked: Revoked[][] = []
  #parts: ConfigParts
  #sequence = 0
  #configs = 0
  #events = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#pick = seededPicker(options.seed)
    this.#parts = randomParts(this.#pick)
    this.#bags = new BagSource(this.#pick)
  }

  async run(): Promise<SimulationReport> {
    const first = this.#nextValid(() => randomParts(this.#pick))
    for (let i = 0; i < NODES; i++) {
      const { link, prefix } = this.#options
      const common = { clock: this.#clock, random: this.#pick.random, link, prefix, nodeId: `n${i}` }
      this.#nodes.push(await createSimulatedNode(common, first))
      this.#revoked.push([])
    }
    let node = 0
    for (let i = 0; i < this.#options.checks; i++) {
      if (this.#pick.chance(0.03)) await this.#happen()
      // Requests that have much in common are worth most at one node.
      if (this.#pick.chance(0.3)) node = this.#pick.int(NODES)
      await this.#check(node)
    }
    await Promise.all(this.#nodes.map((node) => node.stop()))
    return {
      checks: this.#options.checks,
      tiers: this.#tiers,
      configs: this.#configs,
      revocations: this.#sequence,
      backendCalls: this.#world.calls,
    }
  }

  /** Something happens to the world, the config or time. */
  async #happen(): Promise<void> {
    const pick = this.#pick
    // The machines' clocks are set now and then: no age depends on them.
    this.#clock.stepWall(WALL_STEPS_MS[this.#events++ % WALL_STEPS_MS.length] ?? 0)
    const kind = pick.int(16)
    if (kind === 6 || kind === 7) return await this.#race()
    // Two things never happen at the same moment: it would be open which came first.
    await this.#advance(2)
    if (kind === 0) this.#world.change()
    else if (kind === 1) this.#world.setDown(!this.#world.down)
    else if (kind === 2) await this.#changeConfig()
    else if (kind === 3) this.#revoke()
    else if (kind === 4) {
      // What revocations are for: something has changed, and from now on it must not be served as it was.
      this.#world.change()
      await this.#advance(2)
      this.#revoke()
    } else if (kind === 5) this.#world.setLatency(pick.of([0, 1, 5]))
    await this.#advance(kind < 6 ? 2 : pick.of([1, 50, 400, 1_000, 2_500, 5_000, 11_000, 70_000]))
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    for (let i = 0; i < 3; i++) await turn()
  }

  async #changeConfig(): Promise<void> {
    const snapshot = this.#nextValid(() =>
      this.#pick.chance(0.2) ? randomParts(this.#pick) : changeOne(this.#parts, this.#pick),
    )
    // Nodes do not learn of it at once.
    for (const node of this.#nodes) {
      if (this.#pick.chance(0.8)) await node.apply(snapshot)
    }
  }

  #nextValid(next: () => ConfigParts): Snapshot {
    for (;;) {
      const parts = next()
      const { snapshot, problems } = compileSnapshot(loadParts(parts), { adapters: this.#adapters })
      if (snapshot !== undefined) {
        this.#parts = parts
        this.#configs++
        return snapshot
      }
      if (!problems.some(({ code }) => code === 'invalid-expression')) throw new Error(JSON.stringify(problems))
    }
  }

  #revoke(): void {
    const principal = this.#pick.chance(0.7) ? this.#pick.of(['eve', 'bob']) : undefined
    const sequence = ++this.#sequence
    for (const [i, node] of this.#nodes.entries()) {
      node.revocations.apply({
        sequence,
        target:
          principal === undefined
            ? { kind: 'all' }
            : { kind: 'attribute', name: 'source.principal', key: undefined, value: principal },
      })
      this.#revoked[i]?.push({ sequence, at: this.#clock.monotonic(), principal })
    }
  }

  async #check(index: number): Promise<void> {
    const asked = this.#ask(index, this.#bags.next())
    if (asked.pending instanceof Promise) await this.#settle(asked.pending)
    await this.#judge(asked)
  }

  /** One request, asked again and again while slow calls are under way and things happen. */
  async #race(): Promise<void> {
    const pick = this.#pick
    // Mostly so long after everything before it that verdicts have to be fetched.
    await this.#advance(pick.of([2, 6_000, 70_000]))
    this.#world.setLatency(pick.of([5, 15, 40]))
    const bag = this.#bags.next()
    const home = pick.int(NODES)
    const all: Asked[] = []
    for (let i = 2 + pick.int(5); i > 0; i--) {
      all.push(this.#ask(pick.chance(0.7) ? home : pick.int(NODES), bag))
      await this.#advance(2)
      const kind = pick.int(6)
      if (kind < 2) this.#world.change()
      if (kind === 1) await this.#advance(2)
      if (kind === 1 || kind === 2) this.#revoke()
      await this.#advance(2)
    }
    await this.#settle(Promise.all(all.map(async ({ pending }) => await pending)))
    this.#world.setLatency(0)
    for (const asked of all) await this.#judge(asked)
    const last = this.#ask(home, bag)
    await this.#settle(Promise.resolve(last.pending))
    await this.#judge(last)
  }

  #ask(index: number, bag: AttributeBag): Asked {
    const node = this.#nodes[index] as SimulatedNode
    const state = node.state()
    const askedAt = this.#clock.monotonic()
    const floor = this.#revokedAt(index, bag)
    const given = ({ answer }: CheckOutcome): Given => ({ answer, at: this.#clock.monotonic() })
    const outcome = node.engine.check(bag, { timeoutMs: 10_000 })
    const pending = outcome instanceof Promise ? outcome.then(given) : given(outcome)
    return { index, bag, state, askedAt, floor, pending }
  }

  async #judge({ index, bag, state, askedAt, floor, pending }: Asked): Promise<void> {
    const { answer, at } = await pending
    this.#tiers[answer.tier] = (this.#tiers[answer.tier] ?? 0) + 1
    const from = Math.max(floor, at - answer.ageMs - 1)
    const questions = ask(state, bag)
    if (questions.asked.length > 0) this.#judgeAge(answer, state.snapshot, at - askedAt)
    const acceptable = [...this.#acceptable(questions, bag, from)]
    const told = tell(answer.status.code, answer.status.message, answer.requestHeaders)
    if (acceptable.includes(told)) return
    const versions = this.#world.versionsSince(from).length
    throw new WrongAnswer(
      `seed ${this.#options.seed}: node ${index} at +${askedAt} answered ${told} "${answer.status.message}" ` +
        `(${answer.tier}, ${answer.ageMs} ms old), which none of ${versions} versions of the world gives for ` +
        `${describeBag(bag)}; right would be ${acceptable.slice(0, 3).join(' or ')}; ` +
        `it took ${at - askedAt} ms, the last failures were ${JSON.stringify(this.#nodes[index]?.unknowns)}` +
        (process.env['ORACLE_CONFIG'] === undefined ? '' : `\n${this.#describeConfig(questions)}`),
    )
  }

  #describeConfig({ asked }: Questions): string {
    const handlers = asked.map(({ handler, instance }) => [
      handler.name,
      handler.params,
      handler.digest,
      instance.name,
      instance.fields,
    ])
    const text = JSON.stringify(handlers, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
    return `${text}\n${this.#parts.rules.join('---')}${this.#parts.instances.join('---')}`
  }

  /** Waits for answers: replies of the real Redis arrive while simulated time moves on a little. */
  async #settle(pending: Promise<unknown>): Promise<void> {
    const wait = { isOver: false }
    const settled = pending.finally(() => {
      wait.isOver = true
    })
    while (!wait.isOver) {
      await turn()
      await this.#clock.advance(this.#world.underWay > 0 ? 0.1 : 0.01)
    }
    await settled
  }

  /** Nothing from before the last revocation that this node applied and that concerns the request may be served. */
  #revokedAt(index: number, bag: AttributeBag): number {
    let at = Number.NEGATIVE_INFINITY
    for (const { at: when, principal } of this.#revoked[index] ?? []) {
      if (principal === undefined || bag.get('source.principal') === principal) at = Math.max(at, when)
    }
    return at
  }

  /** An answer may be as old as its bound at some moment while the request was under way. */
  #judgeAge(answer: Answer, snapshot: Snapshot, tookMs: number): void {
    const stale = Math.max(0, ...[...snapshot.handlers.values()].map((handler) => handler.staleIfErrorMs))
    const bound = VALID_MS + (answer.tier === 'stale' ? stale : 0)
    if (answer.ageMs > bound + tookMs + 1) {
      throw new WrongAnswer(
        `seed ${this.#options.seed}: ${answer.ageMs} ms old from ${answer.tier}, bound ${bound}, took ${tookMs}, valid for ${answer.validForMs}`,
      )
    }
  }

  /** All answers that evaluation without a cache gives for the versions of the world since `from`. */
  *#acceptable({ asked, evaluation }: Questions, bag: AttributeBag, from: number): Generator<string> {
    const now = this.#clock.monotonic()
    const versions = this.#world.versionsSince(from)
    const mayFail = this.#world.wasDownWithin(RECOVERY_MS)
    for (const choice of product(asked.length, versions, mayFail)) {
      const parts = evaluation.parts.map((part): SettledPart => {
        const { error } = part.outcome as Extract<VerdictOutcome, { error: IntermixError }>
        const position = /^\d+$/.test(error.message) ? Number(error.message) : undefined
        if (position === undefined) return { ...part, outcome: { error } }
        const { handler, instance } = asked[position] as (typeof asked)[0]
        const version = choice[position] as number
        return { ...part, outcome: version < 0 ? failed() : given(handler, instance, version, now) }
      })
      const combined = combineVerdicts(evaluation.matched, parts, now)
      const headers = combined.status.code === 0 ? fillHeaders(evaluation.matched, parts, bag).request : []
      yield tell(combined.status.code, combined.status.message, headers)
    }
  }
}

/** What evaluation asks of handlers, without asking them. */
interface Questions {
  readonly asked: readonly { readonly handler: HandlerConfig; readonly instance: Instance }[]
  readonly evaluation: Evaluation
}

function ask(state: PolicyState, bag: AttributeBag): Questions {
  const asked: { handler: HandlerConfig; instance: Instance }[] = []
  const candidates = state.snapshot.rules.filter((rule) => applies(rule.namespace, bag))
  const evaluation = evaluateRules(candidates, bag, {
    handlers: state.handlers,
    verdicts: {
      get({ source, instance }) {
        asked.push({ handler: source.handler, instance })
        return { error: new IntermixError('BACKEND_FAILED', `${asked.length - 1}`) }
      },
    },
    deadline: Number.POSITIVE_INFINITY,
    matchFailed: () => undefined,
  })
  return { asked, evaluation }
}

function applies(namespace: string, bag: AttributeBag): boolean {
  return namespace === 'istio-system' || namespace === bag.get('destination.namespace')
}

function given(handler: HandlerConfig, instance: Instance, version: number, now: number): VerdictOutcome {
  const verdict = verdictAt((handler.params as { salt: number }).salt, instance, version)
  const entry: VerdictEntry = {
    verdict,
    createdAt: now,
    freshUntil: now + VALID_MS,
    staleUntil: now,
    epoch: { generation: '', sequence: 0 },
    isFetched: true,
    fetchMs: 0,
    usesLeft: 1,
    hits: 0,
    lastHitAt: now,
  }
  return { tier: 'backend', entry }
}

function failed(): VerdictOutcome {
  return { error: new IntermixError('BACKEND_FAILED', 'any') }
}

/** Every way to choose a version (-1: failed) for each question; the newest for all comes first. */
function* product(length: number, versions: readonly number[], mayFail: boolean): Generator<number[]> {
  const choices = [...versions, ...(mayFail ? [-1] : [])]
  const at = new Array<number>(length).fill(0)
  for (;;) {
    yield at.map((i) => choices[i] as number)
    let i = 0
    for (; i < length; i++) {
      at[i] = ((at[i] ?? 0) + 1) % choices.length
      if (at[i] !== 0) break
    }
    if (i === length) return
  }
}

/** An answer in one text; what a failed handler says of its failure may differ. */
function tell(code: number, message: string, headers: readonly HeaderOperation[]): string {
  const failedCodes = [4, 13, 14]
  const text = message
    .split(', ')
    .map((part) => (/:no \d+$/.test(part) ? part : part.replace(/:.*$/s, ':failed')))
    .join(', ')
  const shown = failedCodes.includes(code) && text.includes(':failed') ? 'unknown' : String(code)
  return `${shown} ${text} ${headers.map(({ name, value, operation }) => `${operation} ${name}=${value}`).join(';')}`
}
