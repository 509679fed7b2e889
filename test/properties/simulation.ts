// The oracle at work: random configs, requests, config changes, revocations, outages and time, over several nodes that
// share one Redis. Every answer is held against what an evaluation that shares no code with the product's allows, now or
// at a moment no longer ago than the answer itself says and its bounds permit.

import { setImmediate as turn } from 'node:timers/promises'
import type { RevocationTarget } from '../../src/kernel/revocation.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { BagSource } from './generate-bag.ts'
import { changeOne, QUOTA_NAMES, randomConfig } from './generate-config.ts'
import { type Answered, Judge, WrongAnswer } from './judge.ts'
import { ShadowCount } from './judge-shadow.ts'
import { configText } from './oracle/config-text.ts'
import type { ConfigModel } from './oracle/model.ts'
import type { Demand } from './oracle/quota.ts'
import { type Picker, seededPicker } from './random.ts'
import { createSimulatedNode, type SimulatedNode } from './simulated-node.ts'
import { SimulatedSidecar, type Told } from './simulated-sidecar.ts'
import { TRACE } from './vocabulary.ts'
import { WatchedLink } from './watched-link.ts'
import { World, worldAdapters } from './world.ts'

export { WrongAnswer }

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
  /** Checks that a sidecar answered by itself. */
  readonly kept: number
}

const NODES = 3
const NO_DEMANDS: ReadonlyMap<string, Demand> = new Map()
const WALL_STEPS_MS = [0, -38_000, 0, 38_000, 0, 0, -3_600_000, 7_000]

/** @throws WrongAnswer */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const simulation = new Simulation(options)
  try {
    return await simulation.run()
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    throw new WrongAnswer(`seed ${options.seed}: ${error.message}`)
  }
}

interface Revoked {
  readonly at: number
  readonly principal: string | undefined
}

/** A config that is right, in both forms. */
interface Config {
  readonly model: ConfigModel
  readonly snapshot: Snapshot
}

interface NodeState {
  readonly node: SimulatedNode
  readonly sidecar: SimulatedSidecar
  config: ConfigModel
  /** The revocations that it has applied, with when. */
  revoked: readonly Revoked[]
}

/** A request that a node was asked, and the answer once it is given. */
interface Asked {
  readonly bag: AttributeBag
  readonly pending: Answered | Promise<Answered>
}

class Simulation {
  readonly #options: SimulationOptions
  readonly #link: WatchedLink | undefined
  readonly #pick: Picker
  readonly #clock = new FakeClock()
  readonly #world = new World(this.#clock)
  readonly #adapters = worldAdapters(this.#world)
  readonly #nodes: NodeState[] = []
  readonly #bags: BagSource
  readonly #judge: Judge
  readonly #shadows = new ShadowCount()
  readonly #tiers: Record<string, number> = {}
  #model: ConfigModel
  #next: AttributeBag | undefined
  #sequence = 0
  #asked = 0
  #configs = 0
  #events = 0
  #kept = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#link = options.link && new WatchedLink(options.link)
    this.#pick = seededPicker(options.seed)
    this.#model = randomConfig(this.#pick)
    this.#bags = new BagSource(this.#pick)
    this.#judge = new Judge(this.#world, this.#pick, this.#bags)
  }

  async run(): Promise<SimulationReport> {
    const first = this.#nextValid(() => randomConfig(this.#pick))
    for (let i = 0; i < NODES; i++) {
      const { prefix } = this.#options
      const common = {
        clock: this.#clock,
        random: () => this.#pick.random(),
        link: this.#link,
        prefix,
        nodeId: `n${i}`,
      }
      const node = await createSimulatedNode(common, first.snapshot)
      this.#nodes.push({ node, sidecar: new SimulatedSidecar(this.#clock, node), config: first.model, revoked: [] })
    }
    let node = 0
    for (let i = 0; i < this.#options.checks; i++) {
      if (this.#pick.chance(0.05)) await this.#happen()
      // Requests that have much in common are worth most at one node.
      if (this.#pick.chance(0.3)) node = this.#pick.int(NODES)
      await this.#check(node)
    }
    // Shadow rules are never waited for.
    await this.#advance(20_000)
    const problem = this.#shadows.problem(this.#nodes.map(({ node: { meter } }) => meter))
    if (problem !== undefined) throw new WrongAnswer(problem)
    await Promise.all(this.#nodes.map(({ node: stopped }) => stopped.stop()))
    return {
      checks: this.#options.checks,
      tiers: this.#tiers,
      configs: this.#configs,
      revocations: this.#sequence,
      backendCalls: this.#world.calls,
      kept: this.#kept,
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
    for (let i = 0; i < 3; i++) await this.#replies()
  }

  async #changeConfig(): Promise<void> {
    const { model, snapshot } = this.#nextValid(() =>
      this.#pick.chance(0.2) ? randomConfig(this.#pick) : changeOne(this.#model, this.#pick),
    )
    // Nodes do not learn of it at once.
    for (const state of this.#nodes) {
      if (this.#pick.chance(0.2)) continue
      await state.node.apply(snapshot)
      state.config = model
    }
  }

  #nextValid(next: () => ConfigModel): Config {
    for (;;) {
      const model = next()
      const loaded = parseConfigText('random.yaml', configText(model))
      const { snapshot, problems } = compileSnapshot(loaded, { adapters: this.#adapters })
      if (snapshot !== undefined) {
        this.#model = model
        this.#configs++
        return { model, snapshot }
      }
      throw new Error(`${JSON.stringify(problems)} ${configText(model)}`)
    }
  }

  #revoke(): void {
    const principal = this.#pick.chance(0.7) ? this.#pick.of(['eve', 'bob', 'x']) : undefined
    const sequence = ++this.#sequence
    const target: RevocationTarget =
      principal === undefined
        ? { kind: 'all' }
        : { kind: 'attribute', name: 'source.principal', key: undefined, value: principal }
    for (const state of this.#nodes) {
      state.node.revocations.apply({ sequence, target })
      state.sidecar.revocations.apply({ sequence, target })
      state.revoked = [...state.revoked, { at: this.#clock.monotonic(), principal }]
    }
  }

  async #check(index: number): Promise<void> {
    const asked = this.#ask(index, this.#next ?? this.#bags.next())
    this.#next = undefined
    if (asked.pending instanceof Promise) await this.#settle(asked.pending)
    const { answer } = await this.#conclude(asked)
    // Who is like this one in all that counts should be served by what is kept.
    if (this.#pick.chance(0.2)) this.#next = this.#bags.agreeing(asked.bag, answer.referenced)
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
    for (const asked of all) await this.#conclude(asked)
    const last = this.#ask(home, bag)
    await this.#settle(Promise.resolve(last.pending))
    await this.#conclude(last)
  }

  #ask(index: number, given: AttributeBag): Asked {
    const pick = this.#pick
    const { node, config, revoked } = this.#nodes[index] as NodeState
    const id = `t${this.#asked++}`
    const bag = withTrace(given, id)
    const charging = pick.of(['all', 'all', 'all', 'named', 'named', 'none'] as const)
    const alsoRead = pick.chance(0.1) ? withTrace(this.#bags.next(), id) : undefined
    const askedAt = this.#clock.monotonic()
    const keeps = pick.chance(0.1)
    const references = pick.chance(0.85)
    const quotas = this.#demands()
    if (quotas.size === 0 && pick.chance(0.4)) return this.#askSidecar(index, bag, id, charging)
    const answered = (outcome: CheckOutcome): Answered => ({
      config,
      bag,
      outcome,
      askedAt,
      answeredAt: this.#clock.monotonic(),
      keeps,
      isKept: false,
      references,
      quotas,
      charging,
      alsoRead,
      id,
      revokedAt: (completed) => lastOf(revoked, completed.get('source.principal')),
    })
    const outcome = node.engine.check(bag, {
      timeoutMs: 10_000,
      keepsAnswer: keeps,
      references,
      quotas,
      charging,
      deduplicationId: id,
      ...(alsoRead === undefined ? {} : { alsoRead }),
    })
    return { bag, pending: outcome instanceof Promise ? outcome.then(answered) : answered(outcome) }
  }

  #askSidecar(index: number, bag: AttributeBag, id: string, charging: Answered['charging']): Asked {
    const { sidecar, config, revoked } = this.#nodes[index] as NodeState
    const askedAt = this.#clock.monotonic()
    const answered = ({ outcome, isKept }: Told): Answered => {
      if (isKept) this.#kept++
      return {
        config,
        bag,
        outcome,
        askedAt,
        answeredAt: this.#clock.monotonic(),
        keeps: !isKept,
        isKept,
        references: !isKept,
        quotas: NO_DEMANDS,
        charging,
        alsoRead: undefined,
        id,
        revokedAt: (completed) => lastOf(revoked, completed.get('source.principal')),
      }
    }
    const told = sidecar.check(bag, { charging, deduplicationId: id })
    return { bag, pending: told instanceof Promise ? told.then(answered) : answered(told) }
  }

  #demands(): ReadonlyMap<string, Demand> {
    const quotas = new Map<string, Demand>()
    if (!this.#pick.chance(0.25)) return quotas
    const amount = this.#pick.of([1, 2, 10])
    quotas.set(this.#pick.of(QUOTA_NAMES), { amount, bestEffort: this.#pick.chance(0.5) })
    return quotas
  }

  async #conclude({ pending }: Asked): Promise<CheckOutcome> {
    const answered = await pending
    // Shadow rules charge their quotas beside the answer, and calls that fail are made again after a while.
    while (this.#isBusy()) await this.#advance(1)
    const { outcome } = answered
    this.#tiers[outcome.answer.tier] = (this.#tiers[outcome.answer.tier] ?? 0) + 1
    const possible = this.#judge.judge(answered)
    // Shadow rules are evaluated by nodes, for checks that reach them.
    if (!answered.isKept) this.#shadows.add(possible)
    this.#world.charges.delete(answered.id)
    return outcome
  }

  /** Waits for answers: simulated time moves while Redis owes no reply, so that a seed does nearly the same each time. */
  async #settle(pending: Promise<unknown>): Promise<void> {
    const wait = { isOver: false }
    const settled = pending.finally(() => {
      wait.isOver = true
    })
    for (;;) {
      await this.#replies()
      if (wait.isOver) break
      await this.#clock.advance(this.#world.underWay > 0 ? 1 : 0.1)
    }
    await settled
  }

  #isBusy(): boolean {
    return this.#nodes.some(({ node }) => [...node.state().handlers.values()].some(({ calls }) => calls > 0))
  }

  async #replies(): Promise<void> {
    await (this.#link === undefined ? turn() : this.#link.replies())
  }
}

/** When the last revocation came that concerns a request of this principal: nothing from before it may be served. */
function lastOf(revoked: readonly Revoked[], of: unknown): number {
  return (
    revoked.findLast(({ principal }) => principal === undefined || principal === of)?.at ?? Number.NEGATIVE_INFINITY
  )
}

/** The same request by a name of its own. */
function withTrace(bag: AttributeBag, id: string): AttributeBag {
  const values = new Map(Array.from(bag.names(), (name) => [name, bag.get(name)] as const))
  return new MapBag(new Map([...values, [TRACE, id]]) as ConstructorParameters<typeof MapBag>[0])
}
