// The oracle over filters: random configs, Envoy's requests, config changes, revocations, outages and time, over filters in
// hosts like Envoy before nodes that share one Redis. What becomes of each request is held against an evaluation that
// shares no code with the product's.

import { setImmediate as turn } from 'node:timers/promises'
import { compileSnapshot } from '../../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../../src/config/load.ts'
import type { Snapshot } from '../../../src/config/snapshot.ts'
import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import { type Epoch, OUT_OF_TOUCH_MS } from '../../../src/kernel/revocation.ts'
import type { RedisLink } from '../../../src/redis/connection.ts'
import { FakeClock } from '../../helpers/clock.ts'
import type { EnvoyRequest } from '../../helpers/envoy-request.ts'
import { HeaderLines } from '../../helpers/proxy-wasm/header-lines.ts'
import type { FilteredRequest } from '../../helpers/proxy-wasm/filtered-request.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { BagSource } from '../generate-bag.ts'
import { changeOne, randomConfig } from '../generate-config.ts'
import { Judge, WrongAnswer } from '../judge.ts'
import { configText } from '../oracle/config-text.ts'
import type { ConfigModel } from '../oracle/model.ts'
import { possibilities, type Possibility } from '../oracle/possible.ts'
import { type Picker, seededPicker } from '../random.ts'
import { NAMESPACES } from '../vocabulary.ts'
import { RevokedLog } from '../revoked.ts'
import { createSimulatedNode } from '../simulated-node.ts'
import { WatchedLink } from '../watched-link.ts'
import { PARTITION_MAX_AGE_MS, type ServedNode, served } from '../wire-stream.ts'
import { World, worldAdapters } from '../world.ts'
import { derivedBag } from './derived-bag.ts'
import { ENVOY_TYPES, ENVOY_WORDS } from './envoy-words.ts'
import { FilterJudge } from './filter-judge.ts'
import { RequestSource } from './request-source.ts'
import { type Outcome, SimulatedFilter } from './simulated-filter.ts'
import { SimulatedRelay } from './simulated-relay.ts'

export interface FilterSimulationOptions {
  readonly module: CheckedModule
  readonly seed: number
  readonly checks: number
  /** A Redis that nobody else writes to under the prefix; without one the nodes share nothing. */
  readonly link: RedisLink | undefined
  readonly prefix: string
  /** Whether wrong answers are told with their configs. */
  readonly shows?: boolean
  /** Whether filters ask sidecars before the nodes. By chance unless given. */
  readonly relayed?: boolean
}

export interface FilterReport {
  readonly checks: number
  /** By the tier that the filter tells. */
  readonly tiers: Readonly<Record<string, number>>
  readonly configs: number
  readonly revocations: number
}

const NODES = 2
const FILTERS = 2
const WALL_STEPS_MS = [0, -38_000, 0, 38_000, 0, 0, -3_600_000, 7_000]
const TIMEOUT_MS = 1_000
/** What was revoked so long ago holds at each filter, whatever it has heard. */
const SURELY_KNOWN_MS = PARTITION_MAX_AGE_MS + OUT_OF_TOUCH_MS
/** Asking for news every half a second, and the way there and back. */
const LATE_MS = 600

interface NodeState extends ServedNode {
  config: ConfigModel
}

interface Asked {
  readonly filter: SimulatedFilter
  readonly request: EnvoyRequest
  readonly bag: AttributeBag | undefined
  readonly askedAt: number
  readonly revokedAt: ReturnType<RevokedLog['now']>
  /** What nodes had when it was asked, and which of them sidecars believed. */
  readonly before: readonly ConfigModel[]
  /** What sidecars, where there are any, had to know of revocations. */
  readonly relaysKnew: readonly ReturnType<RevokedLog['now']>[]
  filtered: FilteredRequest | undefined
  outcome: Outcome | undefined
}

/** @throws WrongAnswer */
export async function simulateFilter(options: FilterSimulationOptions): Promise<FilterReport> {
  try {
    return await new FilterSimulation(options).run()
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    throw new WrongAnswer(`seed ${options.seed}: ${error.message}`)
  }
}

class FilterSimulation {
  readonly #options: FilterSimulationOptions
  readonly #link: WatchedLink | undefined
  readonly #pick: Picker
  readonly #clock = new FakeClock()
  readonly #world = new World(this.#clock)
  readonly #adapters = worldAdapters(this.#world)
  readonly #nodes: NodeState[] = []
  readonly #filters: SimulatedFilter[] = []
  /** Sidecars that filters ask, in place of the nodes; in some runs none. */
  readonly #relays: SimulatedRelay[] = []
  readonly #revoked = new RevokedLog(this.#clock, this.#nodes)
  readonly #models = new Map<string, ConfigModel>()
  readonly #requests: RequestSource
  readonly #judge: FilterJudge
  readonly #tiers: Record<string, number> = {}
  /** Whether policy sees paths and hosts in normal form. */
  readonly #normalizes: boolean
  readonly #relayed: boolean
  /** Attributes that the operator has set in the settings of filters. */
  readonly #set: Readonly<Record<string, string>>
  #model: ConfigModel
  #configs = 0
  #events = 0
  /** When a node could not be reached last. */
  #troubledAt = Number.NEGATIVE_INFINITY
  /** What was wrong with something that a node told. */
  #problem: unknown

  constructor(options: FilterSimulationOptions) {
    this.#options = options
    this.#link = options.link && new WatchedLink(options.link)
    this.#pick = seededPicker(options.seed)
    this.#normalizes = this.#pick.chance(0.5)
    this.#relayed = options.relayed ?? this.#pick.chance(0.5)
    this.#set = randomSet(this.#pick)
    this.#model = this.#randomConfig()
    this.#requests = new RequestSource(this.#pick)
    const judge = new Judge(this.#world, this.#pick, new BagSource(this.#pick))
    this.#judge = new FilterJudge(this.#world, judge, options.shows === true)
  }

  async run(): Promise<FilterReport> {
    const { module, link: _, prefix, checks } = this.#options
    const pick = this.#pick
    const first = this.#nextValid(() => this.#model)
    for (let i = 0; i < NODES; i++) {
      const common = { clock: this.#clock, random: () => pick.random(), link: this.#link, prefix, nodeId: `n${i}` }
      const node = await createSimulatedNode(common, first.snapshot)
      this.#nodes.push({ ...served(this.#clock, node, this.#normalizes), config: first.model })
    }
    this.#revoked.beginAnew()
    if (this.#relayed) this.#startRelays()
    const settings = { timeout_ms: TIMEOUT_MS, max_entries: pick.of([8, 200, 200]), context_extensions: this.#set }
    for (let i = 0; i < FILTERS; i++) {
      const onTold = (told: Parameters<FilterJudge['handedOut']>[0]) => {
        try {
          this.#judge.handedOut(told)
        } catch (caught) {
          this.#problem ??= caught
        }
      }
      const doors = (this.#relayed ? this.#relays : this.#nodes).map(({ door }) => door)
      const common = { module, clock: this.#clock, pick, doors, settings, onTold }
      this.#filters.push(new SimulatedFilter(common))
    }
    await this.#advance(100)
    let filter = 0
    for (let i = 0; i < checks; i++) {
      if (pick.chance(0.05)) await this.#happen()
      if (pick.chance(0.3)) filter = pick.int(FILTERS)
      const asked = this.#ask(filter, this.#requests.next())
      await this.#settle([asked])
      this.#conclude(asked)
    }
    for (const { host } of this.#filters) host.stop()
    await Promise.all(this.#nodes.map(({ node }) => node.stop()))
    return { checks, tiers: this.#tiers, configs: this.#configs, revocations: this.#revoked.count }
  }

  /** As many as there are nodes: filters have the same choice. */
  #startRelays(): void {
    for (let i = 0; i < NODES; i++) {
      const relay = new SimulatedRelay({ name: `relay${i}`, clock: this.#clock, pick: this.#pick, nodes: this.#nodes })
      relay.nodes.home = i
      this.#relays.push(relay)
    }
  }

  /** Sidecars that cannot reach some nodes, or can again. */
  #troubleRelays(all: boolean): void {
    const pick = this.#pick
    for (const { nodes } of this.#relays) {
      for (let node = 0; node < NODES; node++) nodes.cut(node, all || pick.chance(0.2))
    }
  }

  #mendRelays(): void {
    for (const { nodes } of this.#relays) for (let node = 0; node < NODES; node++) nodes.cut(node, false)
  }

  /** Something happens to the world, the config, the ways or time. */
  async #happen(): Promise<void> {
    const pick = this.#pick
    this.#clock.stepWall(WALL_STEPS_MS[this.#events++ % WALL_STEPS_MS.length] ?? 0)
    const kind = pick.int(16)
    if (kind === 6 || kind === 7) return await this.#race()
    if (kind === 8 || (kind >= 10 && kind <= 13)) return await this.#isolate()
    // Two things never happen at the same moment: it would be open which came first.
    await this.#advance(2)
    if (kind === 0) this.#world.change()
    else if (kind === 1) this.#world.setDown(!this.#world.down)
    else if (kind === 2) await this.#changeConfig()
    else if (kind === 3 && pick.chance(this.#relayed ? 0.4 : 0.1)) this.#revoked.beginAnew()
    else if (kind === 3) this.#revoke()
    else if (kind === 4) await this.#changeAndRevoke()
    else if (kind === 5) this.#world.setLatency(pick.of([0, 1, 5]))
    else if (kind === 9) this.#trouble()
    await this.#advance(kind < 6 || kind === 9 ? 2 : pick.of([1, 50, 400, 1_000, 2_500, 5_000, 11_000, 70_000]))
  }

  /** What revocations are for: something has changed, and from now on it must not be served as it was. */
  async #changeAndRevoke(): Promise<void> {
    this.#world.change()
    await this.#advance(2)
    this.#revoke()
  }

  /** A node cannot be reached in some way, or can again; a connection breaks. */
  #trouble(): void {
    const pick = this.#pick
    const { cluster } = this.#filter(pick.int(FILTERS))
    const node = pick.int(NODES)
    this.#troubledAt = this.#clock.monotonic()
    if (pick.chance(0.5)) this.#troubleRelays(false)
    if (pick.chance(0.3)) cluster.cut(node)
    else cluster.set(node, pick.of(['up', 'up', 'up', 'away', 'refusing', 'silent']))
  }

  /** A request that is asked again and again, before and while no node can be reached. */
  async #isolate(): Promise<void> {
    const pick = this.#pick
    const index = pick.int(FILTERS)
    const { cluster } = this.#filter(index)
    let request = this.#requests.next()
    const ask = async () => {
      const asked = this.#ask(index, request)
      await this.#settle([asked])
      this.#conclude(asked)
      return asked.outcome
    }
    for (let node = 0; node < NODES; node++) cluster.set(node, 'up')
    this.#mendRelays()
    await this.#advance(1_200)
    // What is kept shows most.
    for (let tries = 0; tries < 5; tries++) {
      await ask()
      if ((await ask())?.tier === 'filter') break
      request = this.#requests.next()
    }
    if (pick.chance(0.3)) {
      await this.#changeAndRevoke()
      await this.#advance(pick.of([2, 50]))
      await ask()
    }
    const state = pick.of(['away', 'refusing', 'silent'] as const)
    if (pick.chance(0.5) && this.#relayed) this.#troubleRelays(true)
    else for (let node = 0; node < NODES; node++) cluster.set(node, state)
    this.#troubledAt = this.#clock.monotonic()
    for (let i = 1 + pick.int(4); i > 0; i--) {
      await this.#advance(pick.of([2, 900, 2_100, 6_000, 11_000]))
      if (pick.chance(0.3)) await this.#changeAndRevoke()
      await this.#advance(2)
      await ask()
    }
    this.#troubledAt = this.#clock.monotonic()
    for (let node = 0; node < NODES; node++) cluster.set(node, 'up')
    this.#mendRelays()
    await ask()
  }

  /** Many requests at once while slow calls are under way and things happen. */
  async #race(): Promise<void> {
    const pick = this.#pick
    await this.#advance(pick.of([2, 6_000, 70_000]))
    this.#world.setLatency(pick.of([5, 15, 40]))
    const index = pick.int(FILTERS)
    const requests = [this.#requests.next(), this.#requests.next()] as const
    const all: Asked[] = []
    for (let i = 2 + pick.int(6); i > 0; i--) {
      all.push(this.#ask(pick.chance(0.8) ? index : pick.int(FILTERS), pick.chance(0.7) ? requests[0] : requests[1]))
      if (pick.chance(0.5)) continue
      await this.#advance(2)
      const kind = pick.int(7)
      if (kind < 2) this.#world.change()
      if (kind === 1) await this.#advance(2)
      if (kind === 1 || kind === 2) this.#revoke()
      if (kind === 3) await this.#changeConfig()
      if (kind === 4) this.#trouble()
      await this.#advance(2)
    }
    await this.#settle(all)
    this.#world.setLatency(0)
    for (const asked of all) this.#conclude(asked)
  }

  async #changeConfig(): Promise<void> {
    const pick = this.#pick
    const { model, snapshot } = this.#nextValid(() =>
      pick.chance(0.2) ? this.#randomConfig() : changeOne(this.#model, pick, ENVOY_WORDS),
    )
    // Nodes do not learn of it at once.
    for (const state of this.#nodes) {
      if (pick.chance(0.2)) continue
      await state.node.apply(snapshot)
      state.config = model
      state.news.changed()
    }
  }

  #revoke(): void {
    const principal = {
      name: 'source.principal',
      value: this.#set['source.principal'] ?? this.#pick.of(['eve', 'bob', 'x']),
    }
    this.#revoked.revoke(this.#pick.chance(0.7) ? principal : undefined)
  }

  #ask(index: number, request: EnvoyRequest): Asked {
    const filter = this.#filter(index)
    const asked: Asked = {
      filter,
      request,
      bag: derivedBag(request, ENVOY_TYPES, this.#clock.now(), this.#normalizes, this.#set),
      askedAt: this.#clock.monotonic(),
      revokedAt: this.#revoked.now(),
      before: [...this.#nodes.map(({ config }) => config), ...this.#believed()],
      relaysKnew: this.#relays.map(({ nodes }) => this.#revoked.heard(nodes.known, SURELY_KNOWN_MS)),
      filtered: undefined,
      outcome: undefined,
    }
    asked.filtered = filter.ask(request, (outcome) => {
      asked.outcome = outcome
    })
    return asked
  }

  /** The configs by which sidecars look for answers. */
  #believed(): ConfigModel[] {
    return this.#relays.flatMap(({ nodes }) => this.#models.get(nodes.config()?.id ?? '') ?? [])
  }

  #conclude({ filter, request, bag, askedAt, revokedAt, before, relaysKnew, filtered, outcome }: Asked): void {
    filtered?.finish()
    for (const relay of this.#relays) relay.expectSameReadings()
    if (this.#problem !== undefined) throw this.#problem
    if (filter.host.failures > 0) throw new WrongAnswer(`the module trapped: ${filter.host.logs.at(-1)?.message}`)
    if (outcome === undefined) throw new WrongAnswer('a request waits for ever')
    const { tier, ageMs, answeredAt, by, config } = outcome
    const known = this.#known(outcome)
    this.#tiers[tier] = (this.#tiers[tier] ?? 0) + 1
    if (tier === 'none' && outcome.seen.status === 0) return this.#expectOpen(request, bag, config)
    if (tier === 'none') {
      const isWhole = filter.cluster.isWhole && !this.#relays.some(({ nodes }) => nodes.isAnyCut)
      if (!isWhole || this.#troubledAt + SURELY_KNOWN_MS > askedAt) return
      throw new WrongAnswer(`nobody judged ${JSON.stringify(request)} at +${askedAt}`)
    }
    const isKept = tier === 'filter' || by === undefined
    const believed = this.#models.get(config ?? '')
    const configs =
      isKept && believed !== undefined
        ? [believed]
        : [...this.#nodes.map((node) => node.config), ...before, ...this.#believed()]
    if (tier === 'stale' && believed !== undefined) configs.push(believed)
    if (tier === 'filter' || tier === 'stale') this.#expectInTouch(filter, outcome)
    this.#judge.judge({
      ...outcome,
      configs: [...new Set(configs)],
      bag,
      headers: new HeaderLines(request.headers, true).lines,
      tier,
      ageMs,
      askedAt,
      answeredAt,
      tellers: this.#relayed ? 2 : 1,
      revokedAt: (completed) => {
        const heard = this.#revoked.heard(known, SURELY_KNOWN_MS)(completed)
        if (isKept) return heard
        // A sidecar may have kept it.
        if (relaysKnew.length > 0) return Math.min(heard, ...relaysKnew.map((knew) => knew(completed)))
        // What is stale and comes while a node speaks is the node's, or the filter's own where the node has failed.
        return tier === 'stale' ? Math.min(heard, revokedAt(completed)) : revokedAt(completed)
      },
    })
  }

  /** What the filter had heard of the nodes' revocations. */
  #known({ known }: Outcome): Epoch | undefined {
    if (!this.#relayed) return known
    return this.#relays.map((relay) => relay.known(known)).find((epoch) => epoch !== undefined)
  }

  /** Whom nobody judges passes by rules that let pass what they cannot decide, and by no other. */
  #expectOpen(request: EnvoyRequest, bag: AttributeBag | undefined, config: string | undefined): void {
    const believed = this.#models.get(config ?? '')
    const all = believed === undefined || bag === undefined ? [] : possibilities(believed, bag, true)
    const isOpen = ({ rules, evaluated }: Possibility) =>
      rules.length > 0 && evaluated.matched.every(({ failPolicy }) => failPolicy === 'open')
    if (all.some(isOpen)) return
    throw new WrongAnswer(`a request that nobody judged passed, though rules are closed: ${JSON.stringify(request)}`)
  }

  #expectInTouch({ heardAt }: SimulatedFilter, { answeredAt, ageMs, tier, by }: Outcome): void {
    if (tier === 'stale' && by !== undefined) return
    if (answeredAt < heardAt + SURELY_KNOWN_MS + LATE_MS || ageMs <= PARTITION_MAX_AGE_MS) return
    throw new WrongAnswer(`a filter that is out of touch gives an answer that is ${ageMs} ms old`)
  }

  /** Waits for answers: simulated time moves while Redis owes no reply, so that a seed does nearly the same each time. */
  async #settle(all: readonly Asked[]): Promise<void> {
    const last = this.#clock.monotonic() + 2 * TIMEOUT_MS
    for (;;) {
      await this.#replies()
      if (all.every(({ outcome }) => outcome !== undefined) || this.#clock.monotonic() > last) return
      await this.#clock.advance(this.#world.underWay > 0 ? 1 : 0.5)
    }
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    for (let i = 0; i < 3; i++) await this.#replies()
  }

  async #replies(): Promise<void> {
    await (this.#link === undefined ? turn() : this.#link.replies())
  }

  #filter(index: number): SimulatedFilter {
    return this.#filters[index] as SimulatedFilter
  }

  /** Without quotas: whom they are charged for cannot be seen from without. */
  #randomConfig(): ConfigModel {
    for (;;) {
      const model = randomConfig(this.#pick, ENVOY_WORDS)
      if (!model.rules.some(({ actions }) => actions.some(({ instances }) => instances.some(isQuota)))) return model
    }
  }

  #nextValid(next: () => ConfigModel): { readonly model: ConfigModel; readonly snapshot: Snapshot } {
    let model = next()
    while (model.rules.some(({ actions }) => actions.some(({ instances }) => instances.some(isQuota)))) model = next()
    const loaded = parseConfigText('random.yaml', configText(model, ENVOY_WORDS))
    const { snapshot, problems } = compileSnapshot(loaded, { adapters: this.#adapters })
    if (snapshot === undefined) throw new Error(`${JSON.stringify(problems)} ${configText(model, ENVOY_WORDS)}`)
    this.#model = model
    this.#configs++
    this.#models.set(snapshot.id, model)
    return { model, snapshot }
  }
}

const isQuota = (instance: string) => instance.startsWith('q')

/** In most runs none. */
function randomSet(pick: Picker): Readonly<Record<string, string>> {
  if (pick.chance(0.7)) return {}
  const all = Object.entries(SETTABLE).filter(([name]) => pick.chance(name === 'source.principal' ? 0.7 : 0.2))
  return Object.fromEntries(all.map(([name, texts]) => [name, pick.of(texts)]))
}

const SETTABLE: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'source.principal': ['eve', 'x'],
  'source.ip': ['10.0.0.1', '::1'],
  'source.port': ['5', '6'],
  'destination.namespace': NAMESPACES,
  'context.reporter.kind': ['x', 'y'],
  'connection.requested_server_name': ['x'],
}
