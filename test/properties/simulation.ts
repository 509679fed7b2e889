// The oracle at work: random configs, requests, config changes, revocations, outages and time, over several nodes that
// share one Redis. Every answer is held against what an evaluation that shares no code with the product's allows, now or
// at a moment no longer ago than the answer itself says and its bounds permit.

import { setImmediate as turn } from 'node:timers/promises'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { BagSource } from './generate-bag.ts'
import { changeOne, QUOTA_NAMES, randomConfig } from './generate-config.ts'
import { type Answered, Judge, WrongAnswer } from './judge.ts'
import { ShadowCount } from './judge-shadow.ts'
import { configText } from './oracle/config-text.ts'
import { countersOf } from './oracle/charges.ts'
import type { ConfigModel } from './oracle/model.ts'
import { possibilities, type Possibility } from './oracle/possible.ts'
import type { Demand } from './oracle/quota.ts'
import { type Picker, seededPicker } from './random.ts'
import { createSimulatedNode } from './simulated-node.ts'
import { RevokedLog, type RevokedValue } from './revoked.ts'
import { SidecarFleet } from './sidecar-fleet.ts'
import { TRACE } from './vocabulary.ts'
import { WatchedLink } from './watched-link.ts'
import { type ServedNode, served } from './wire-stream.ts'
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
  /** Checks that sidecars were asked. */
  readonly asked: number
  /** Checks that a sidecar answered by itself. */
  readonly kept: number
  /** And those of them that it answered beyond the life of what it kept. */
  readonly keptStale: number
  /** Uses of answers for which sidecars had paid ahead, and those that they gave back. */
  readonly paidUses: number
  readonly returnedUses: number
  /** Quotas that sidecars granted of what they had leased. */
  readonly leased: number
  /** Checks of a sidecar that could reach no node, and had no answer. */
  readonly unanswered: number
}

const NODES = 3
/** Who asks, some of whom are made by generators. */
const PRINCIPALS = ['eve', 'bob', 'x'] as const
/** Times are mostly no whole milliseconds. Sums of eighths are exact, so that ages can be judged without a margin. */
const FRACTION_MS = 0.125
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

/** A config that is right, in both forms. */
interface Config {
  readonly model: ConfigModel
  readonly snapshot: Snapshot
}

interface NodeState extends ServedNode {
  config: ConfigModel
}

/** A request that a node was asked, and the answer once it is given. */
interface Asked {
  readonly bag: AttributeBag
  readonly pending: Answer | Promise<Answer>
}

/** `undefined` where a sidecar could reach no node. */
type Answer = Answered | undefined

class Simulation {
  readonly #options: SimulationOptions
  readonly #link: WatchedLink | undefined
  readonly #pick: Picker
  readonly #clock = new FakeClock()
  readonly #world = new World(this.#clock)
  readonly #adapters = worldAdapters(this.#world)
  readonly #nodes: NodeState[] = []
  readonly #revoked = new RevokedLog(this.#clock, this.#nodes)
  readonly #sidecars: SidecarFleet
  /** By the names that snapshots have. */
  readonly #models = new Map<string, ConfigModel>()
  readonly #bags: BagSource
  readonly #judge: Judge
  readonly #shadows = new ShadowCount()
  readonly #tiers: Record<string, number> = {}
  #model: ConfigModel
  #next: AttributeBag | undefined
  #asked = 0
  #judged = 0
  #configs = 0
  #events = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#link = options.link && new WatchedLink(options.link)
    this.#pick = seededPicker(options.seed)
    this.#model = randomConfig(this.#pick)
    this.#bags = new BagSource(this.#pick)
    this.#judge = new Judge(this.#world, this.#pick, this.#bags)
    this.#sidecars = new SidecarFleet({
      clock: this.#clock,
      pick: this.#pick,
      nodes: this.#nodes,
      revoked: this.#revoked,
      judge: this.#judge,
      modelOf: (id) => this.#models.get(id),
    })
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
      this.#nodes.push({ ...served(this.#clock, node), config: first.model })
    }
    this.#revoked.beginAnew()
    this.#sidecars.start()
    let node = 0
    while (this.#judged < this.#options.checks) {
      if (this.#pick.chance(0.05)) await this.#happen()
      if (this.#pick.chance(0.008)) await this.#crowd()
      if (this.#pick.chance(0.005)) await this.#isolate()
      // Requests that have much in common are worth most at one node.
      if (this.#pick.chance(0.3)) node = this.#pick.int(NODES)
      await this.#check(node)
    }
    // Shadow rules are never waited for.
    await this.#advance(20_000)
    const problem = this.#shadows.problem(
      this.#nodes.map(({ node: { meter } }) => meter),
      this.#sidecars.unconcluded,
    )
    if (problem !== undefined) throw new WrongAnswer(problem)
    await Promise.all(this.#nodes.map(({ node: stopped }) => stopped.stop()))
    return {
      checks: this.#judged,
      tiers: this.#tiers,
      configs: this.#configs,
      revocations: this.#revoked.count,
      backendCalls: this.#world.calls,
      asked: this.#sidecars.asked,
      kept: this.#sidecars.kept,
      keptStale: this.#sidecars.stale,
      unanswered: this.#sidecars.unanswered,
      paidUses: this.#judge.sidecars.paidUses,
      returnedUses: this.#judge.sidecars.returnedUses,
      leased: this.#judge.sidecars.leased,
    }
  }

  /** Something happens to the world, the config or time. */
  async #happen(): Promise<void> {
    const pick = this.#pick
    // The machines' clocks are set now and then: no age depends on them.
    this.#clock.stepWall(WALL_STEPS_MS[this.#events++ % WALL_STEPS_MS.length] ?? 0)
    const kind = pick.int(18)
    if (kind === 16) return await this.#isolate()
    if (kind === 17) return this.#cut()
    if (kind === 6 || kind === 7) return await this.#race()
    // Two things never happen at the same moment: it would be open which came first.
    await this.#advance(2)
    if (kind === 0) this.#world.change()
    else if (kind === 1) this.#world.setDown(!this.#world.down)
    else if (kind === 2) await this.#changeConfig()
    else if (kind === 3 && pick.chance(0.1)) this.#revoked.beginAnew()
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
      state.news.changed()
    }
  }

  /** A sidecar cannot reach some nodes, or can again. */
  #cut(): void {
    this.#sidecars.cut(this.#pick.int(NODES), this.#pick.of([[false], [false], [true], [true, false]]))
  }

  /** A request that a sidecar is asked again and again, before and while it reaches no node. */
  async #isolate(): Promise<void> {
    const pick = this.#pick
    const sidecar = pick.int(NODES)
    let bag = this.#bags.next()
    const ask = async () => {
      const asked = { charging: 'all', quotas: new Map(), references: true, bag, isRetried: pick.chance(0.5) } as const
      const pending = this.#sidecars.ask(sidecar, pick.int(NODES), { ...asked, id: this.#nextId() })
      if (pending instanceof Promise) await this.#settle(pending)
      await this.#conclude({ bag, pending })
    }
    this.#sidecars.cut(sidecar, [false])
    await this.#advance(600)
    for (let tries = 0; tries < 5; tries++) {
      const { kept } = this.#sidecars
      await ask()
      await this.#advance(pick.of([2, 600, 4_000]))
      await ask()
      if (this.#sidecars.kept > kept) break
      bag = this.#bags.next()
    }
    for (let i = pick.int(4); i > 0; i--) await ask()
    if (pick.chance(0.5)) {
      // What it keeps is not true any more: it may go on with that until it has heard of the revocation.
      this.#world.change()
      await this.#advance(2)
      this.#revoke(bag)
      await this.#advance(pick.of([2, 50]))
      await ask()
    }
    this.#sidecars.cut(sidecar, [true])
    for (let i = pick.int(4); i >= 0; i--) {
      await this.#advance(pick.of([2, 900, 2_100, 6_000, 11_000]))
      if (pick.chance(0.3)) this.#world.change()
      if (pick.chance(0.3)) await this.#advance(2)
      if (pick.chance(0.3)) this.#revoke(bag)
      await this.#advance(2)
      await ask()
    }
    this.#sidecars.cut(sidecar, [false])
    await ask()
  }

  /** Many of a kind at one sidecar, as which answers are paid for, and quotas leased, ahead of need. */
  async #crowd(): Promise<void> {
    const pick = this.#pick
    const [sidecar, home] = [pick.int(NODES), pick.int(NODES)]
    const own = this.#charged((this.#nodes[home] as NodeState).config)
    const charging = pick.of(['all', 'all', 'named'] as const)
    const name = pick.of(QUOTA_NAMES)
    const pause = pick.of([1, 5, 30])
    let agreeing: readonly ReferencedAttribute[] | undefined
    for (let i = 5 + pick.int(40); i > 0; i--) {
      const isOther = agreeing !== undefined && pick.chance(0.2)
      const bag = isOther ? this.#bags.agreeing(own, agreeing ?? []) : own
      const demand = { amount: pick.of([1, 1, 2]), bestEffort: pick.chance(0.3) }
      const quotas = new Map(charging === 'named' ? [[name, demand]] : [])
      const asked = { charging, quotas, references: true, bag, id: this.#nextId(), isRetried: false }
      const pending = this.#sidecars.ask(sidecar, home, asked)
      if (pending instanceof Promise) await this.#settle(pending)
      const outcome = await this.#conclude({ bag, pending })
      if (!isOther) agreeing = outcome?.answer.referenced
      if (pick.chance(0.5)) await this.#advance(pause)
    }
  }

  /** A request that is allowed and for which rules charge, where one is soon found. */
  #charged(config: ConfigModel): AttributeBag {
    for (let tries = 0; ; tries++) {
      const bag = this.#bags.next()
      const [possibility] = possibilities(config, bag, false) as readonly [Possibility]
      const isCharged = countersOf(config, { ...possibility, named: [] }).length > 0
      if (tries === 20 || (isCharged && this.#judge.newest(possibility).code === 0)) return bag
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
        this.#models.set(snapshot.id, model)
        return { model, snapshot }
      }
      throw new Error(`${JSON.stringify(problems)} ${configText(model)}`)
    }
  }

  /** @param bag a request that it may be about */
  #revoke(bag?: AttributeBag): void {
    const pick = this.#pick
    const [first, ...others] = bag !== undefined && pick.chance(0.5) ? this.#generatedFor(bag) : []
    const principal = { name: 'source.principal', value: pick.of(PRINCIPALS) }
    this.#revoked.revoke(first !== undefined ? pick.of([first, ...others]) : pick.chance(0.7) ? principal : undefined)
  }

  /** Texts that generators find out about a request. */
  #generatedFor(bag: AttributeBag): readonly RevokedValue[] {
    const [{ bag: completed }] = possibilities(this.#model, bag, false) as readonly [Possibility]
    const bound = this.#model.instances.flatMap((each) =>
      each.template === 'kubernetes' ? each.bindings.map(([name]) => name) : [],
    )
    return bound.flatMap((name) => {
      const value = completed.get(name)
      return bag.get(name) === undefined && typeof value === 'string' ? [{ name, value }] : []
    })
  }

  async #check(index: number): Promise<void> {
    const asked = this.#ask(index, this.#next ?? this.#bags.next())
    this.#next = undefined
    if (asked.pending instanceof Promise) await this.#settle(asked.pending)
    const outcome = await this.#conclude(asked)
    // Who is like this one in all that counts should be served by what is kept.
    if (outcome !== undefined && this.#pick.chance(0.2))
      this.#next = this.#bags.agreeing(asked.bag, outcome.answer.referenced)
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
      if (kind === 1 || kind === 2) this.#revoke(bag)
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
    const { node, config } = this.#nodes[index] as NodeState
    const revokedAt = this.#revoked.now()
    const id = this.#nextId()
    const bag = withTrace(given, id)
    const charging = pick.of(['all', 'all', 'all', 'named', 'named', 'none'] as const)
    const alsoRead = pick.chance(0.1) ? withTrace(this.#bags.next(), id) : undefined
    const askedAt = this.#clock.monotonic()
    const keeps = pick.chance(0.1)
    const references = pick.chance(0.85)
    const quotas = this.#demands()
    if (pick.chance(0.5)) {
      // Each has a node that it asks mostly.
      const sidecar = pick.chance(0.8) ? index : pick.int(NODES)
      const isRetried = pick.chance(0.5)
      return { bag, pending: this.#sidecars.ask(sidecar, index, { charging, quotas, references, bag, id, isRetried }) }
    }
    const answered = (outcome: CheckOutcome): Answered => ({
      config,
      bag,
      outcome,
      askedAt,
      answeredAt: this.#clock.monotonic(),
      keeps,
      sidecar: undefined,
      quotaConfigs: [],
      isKept: false,
      references,
      quotas,
      charging,
      alsoRead,
      id,
      revokedAt,
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

  #demands(): ReadonlyMap<string, Demand> {
    const quotas = new Map<string, Demand>()
    if (!this.#pick.chance(0.25)) return quotas
    const amount = this.#pick.of([1, 2, 10])
    quotas.set(this.#pick.of(QUOTA_NAMES), { amount, bestEffort: this.#pick.chance(0.5) })
    return quotas
  }

  #nextId(): string {
    return `t${this.#asked++}`
  }

  async #conclude({ pending }: Asked): Promise<CheckOutcome | undefined> {
    const answered = await pending
    if (answered === undefined) return undefined
    // Shadow rules charge their quotas beside the answer, and calls that fail are made again after a while.
    while (this.#isBusy()) await this.#advance(1)
    const { outcome } = answered
    this.#tiers[outcome.answer.tier] = (this.#tiers[outcome.answer.tier] ?? 0) + 1
    const possible = this.#judge.judge(answered)
    this.#judged++
    // Shadow rules are evaluated by nodes, for checks that reach them.
    if (!answered.isKept) this.#shadows.add(possible)
    this.#judge.sidecars.forget(answered.id)
    return outcome
  }

  /** Waits for answers: simulated time moves while Redis owes no reply, so that a seed does nearly the same each time. */
  async #settle(pending: Promise<unknown>): Promise<void> {
    const wait = { isOver: false }
    const settled = pending.finally(() => {
      wait.isOver = true
    })
    // It may fail before it is waited for.
    settled.catch(() => undefined)
    for (;;) {
      await this.#replies()
      if (wait.isOver) break
      await this.#clock.advance(this.#world.underWay > 0 ? 1 : FRACTION_MS)
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

/** The same request by a name of its own. */
function withTrace(bag: AttributeBag, id: string): AttributeBag {
  const values = new Map(Array.from(bag.names(), (name) => [name, bag.get(name)] as const))
  return new MapBag(new Map([...values, [TRACE, id]]) as ConstructorParameters<typeof MapBag>[0])
}
