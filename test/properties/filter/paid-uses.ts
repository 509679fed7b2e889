// What filters make of rules that charge quotas: bursts of alike requests over one filter before two nodes. Nothing is given that was not
// paid for, in the window in which it was; what nobody has used goes back once; and nobody is refused by what was known long ago.

import { setImmediate as turn } from 'node:timers/promises'
import { compileSnapshot } from '../../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../../src/config/load.ts'
import { FakeClock } from '../../helpers/clock.ts'
import type { FilteredRequest } from '../../helpers/proxy-wasm/filtered-request.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { Accounts } from '../accounts.ts'
import { WrongAnswer } from '../judge.ts'
import { REFUSED_MS } from '../judge-paid.ts'
import { type Picker, seededPicker } from '../random.ts'
import { createSimulatedNode } from '../simulated-node.ts'
import { counterOf } from '../windows.ts'
import { type ServedNode, served } from '../wire-stream.ts'
import { World, worldAdapters } from '../world.ts'
import { type Outcome, SimulatedFilter } from './simulated-filter.ts'
import { SimulatedRelay } from './simulated-relay.ts'

const NODES = 2
const BURSTS = 40
const PATHS = ['/a', '/b', '/c'] as const
const HANDLER = 'h.handler.istio-system'
const ALLOWED = 0
const REFUSED = 429
/** Ways of messages, and the moment in which they wait. */
const LATE_MS = 150
/** All that was paid for has ended then, and is back. */
const SURELY_BACK_MS = 5_000

interface Rule {
  readonly instance: string
  readonly amount: number
  readonly method: string | undefined
}

export interface PaidReport {
  /** Requests that were let through by answers that filters had paid for before, and uses that went back. */
  readonly kept: number
  readonly refused: number
  readonly returned: number
}

/** @throws WrongAnswer */
export async function simulatePaidUses(module: CheckedModule, seed: number): Promise<PaidReport> {
  try {
    return await new PaidSimulation(module, seededPicker(seed)).run()
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    throw new WrongAnswer(`seed ${seed}: ${error.message}`)
  }
}

class PaidSimulation {
  readonly #module: CheckedModule
  readonly #pick: Picker
  readonly #clock = new FakeClock()
  readonly #world = new World(this.#clock)
  readonly #accounts = new Accounts()
  /** By counter: what was granted and what came of it, and when it granted nothing last. */
  readonly #sums = new Map<string, { granted: number; used: number; returned: number; refusedAt: number }>()
  readonly #rules: readonly Rule[]
  readonly #salt: number
  #problem: string | undefined
  #isTroubled = false
  #kept = 0
  #refused = 0
  #returned = 0

  constructor(module: CheckedModule, pick: Picker) {
    this.#module = module
    this.#pick = pick
    this.#salt = pick.int(20)
    const others: readonly Rule[] = pick.chance(0.5)
      ? [{ instance: 'q1', amount: pick.of([1, 2]), method: 'POST' }]
      : []
    this.#rules = [{ instance: 'q0', amount: pick.of([1, 1, 3]), method: undefined }, ...others]
    this.#watchWindows()
  }

  async run(): Promise<PaidReport> {
    const pick = this.#pick
    const nodes: ServedNode[] = []
    for (let i = 0; i < NODES; i++) {
      const common = {
        clock: this.#clock,
        random: () => pick.random(),
        link: undefined,
        prefix: 'paid',
        nodeId: `n${i}`,
      }
      nodes.push(served(this.#clock, await createSimulatedNode(common, this.#snapshot())))
    }
    for (const { node } of nodes) node.revocations.restart('paid/1@0', 0)
    const relay = (i: number) => new SimulatedRelay({ name: `relay${i}`, clock: this.#clock, pick, nodes })
    const doors = (pick.chance(0.5) ? nodes : nodes.map((_, i) => relay(i))).map(({ door }) => door)
    const settings = { timeout_ms: 2_000, fail_policy: 'closed', max_entries: pick.of([2, 100]) }
    const common = { module: this.#module, clock: this.#clock, pick, doors, settings, onTold: () => undefined }
    const filter = new SimulatedFilter(common)
    await this.#advance(100)
    const breaks = pick.chance(0.3)
    for (let i = 0; i < BURSTS; i++) {
      if (breaks && pick.chance(0.1)) {
        this.#isTroubled = true
        filter.cluster.cut(pick.int(NODES))
      }
      await this.#burst(filter)
      await this.#advance(pick.of([1, 20, 60, 110, 400, 1_100, 2_500]))
    }
    await this.#advance(SURELY_BACK_MS)
    this.#expectBalance()
    if (filter.host.failures > 0) throw new WrongAnswer('the module trapped')
    filter.host.stop()
    await Promise.all(nodes.map(({ node }) => node.stop()))
    return { kept: this.#kept, refused: this.#refused, returned: this.#returned }
  }

  async #burst(filter: SimulatedFilter): Promise<void> {
    const pick = this.#pick
    const path = pick.of(PATHS)
    const method = pick.of(['GET', 'GET', 'POST'])
    const asked: FilteredRequest[] = []
    const open = { count: 0 }
    for (let i = 1 + pick.int(30); i > 0; i--) {
      open.count++
      const headers = [
        [':method', method],
        [':path', path],
        [':authority', 'x'],
        [':scheme', 'http'],
      ] as const
      asked.push(
        filter.ask({ headers }, (outcome) => {
          open.count--
          this.#judge(path, method, outcome)
        }),
      )
      if (pick.chance(0.4)) await this.#advance(pick.of([1, 5, 20]))
    }
    for (let i = 0; open.count > 0 && i < 200; i++) await this.#advance(20)
    for (const request of asked) request.finish()
    if (open.count > 0) throw new WrongAnswer('a request waits for ever')
    if (this.#problem !== undefined) throw new WrongAnswer(this.#problem)
  }

  #judge(path: string, method: string, { seen, tier, answeredAt }: Outcome): void {
    const charged = this.#rules.filter((rule) => rule.method === undefined || rule.method === method)
    if (seen.status === ALLOWED) {
      if (tier === 'filter') this.#kept++
      for (const { instance, amount } of charged) {
        const counter = this.#counter(instance, path)
        const sums = this.#of(counter)
        sums.used += amount
        // What a node lets through it has charged before, perhaps in the window before.
        this.#problem ??= this.#accounts.use(counter, amount, tier === 'filter' ? answeredAt : undefined)
      }
      return
    }
    if (tier === 'none' && this.#isTroubled) return
    this.#refused++
    const last = Math.max(...charged.map(({ instance }) => this.#of(this.#counter(instance, path)).refusedAt))
    if (seen.status !== REFUSED) this.#problem ??= `a request got ${seen.status} (${tier})`
    else if (answeredAt - last > REFUSED_MS + LATE_MS)
      this.#problem ??= `a request is refused at +${answeredAt}, by what was so at +${last}`
  }

  /** Nothing is lost where no way broke. */
  #expectBalance(): void {
    if (this.#problem !== undefined) throw new WrongAnswer(this.#problem)
    for (const [counter, { granted, used, returned }] of this.#sums) {
      const isRight = this.#isTroubled ? used + returned <= granted : used + returned === granted
      if (!isRight)
        throw new WrongAnswer(`of ${counter} ${granted} were granted, ${used} used and ${returned} given back`)
    }
  }

  #watchWindows(): void {
    const { windows } = this.#world
    const charge = windows.charge.bind(windows)
    const giveBack = windows.giveBack.bind(windows)
    windows.charge = (id, charges) => {
      const outcomes = charge(id, charges)
      for (const { counter, granted, window, standing, code, at } of outcomes) {
        const sums = this.#of(counter)
        sums.granted += granted
        if (code !== 0) sums.refusedAt = at
        this.#accounts.buy(counter, granted, { window, windowMs: standing.windowMs ?? Number.POSITIVE_INFINITY })
      }
      return outcomes
    }
    windows.giveBack = (given) => {
      this.#of(counterOf(given)).returned += given.amount
      this.#returned += given.amount
      this.#problem ??= this.#accounts.giveBack(counterOf(given), given.amount)
      giveBack(given)
    }
  }

  #of(counter: string) {
    let sums = this.#sums.get(counter)
    if (sums === undefined)
      this.#sums.set(counter, (sums = { granted: 0, used: 0, returned: 0, refusedAt: Number.NEGATIVE_INFINITY }))
    return sums
  }

  #counter(instance: string, path: string): string {
    const dimensions = new Map([['user', path]])
    return counterOf({ handler: HANDLER, instance: `${instance}.instance.istio-system`, salt: this.#salt, dimensions })
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    await turn()
  }

  #snapshot() {
    const attributes = { 'request.path': { valueType: 'STRING' }, 'request.method': { valueType: 'STRING' } }
    const object = (kind: string, name: string, spec: object) => ({
      apiVersion: kind === 'attributemanifest' ? 'config.istio.io/v1alpha2' : 'intermix.dev/v1',
      kind,
      metadata: { name, namespace: 'istio-system' },
      spec,
    })
    const objects = [
      object('attributemanifest', 'all', { attributes }),
      object('handler', 'h', { compiledAdapter: 'computed', params: { salt: this.#salt, windows: true } }),
      ...this.#rules.flatMap(({ instance, amount, method }) => [
        object('instance', instance, {
          compiledTemplate: 'quota',
          lang: 'CEL',
          params: { dimensions: { user: 'request.path' }, amount: String(amount) },
        }),
        object('rule', `of-${instance}`, {
          lang: 'CEL',
          ...(method === undefined ? {} : { match: `request.method == "${method}"` }),
          actions: [{ handler: HANDLER, instances: [`${instance}.instance.istio-system`] }],
        }),
      ]),
    ]
    const text = objects.map((each) => JSON.stringify(each)).join('\n---\n')
    const adapters = worldAdapters(this.#world)
    const { snapshot, problems } = compileSnapshot(parseConfigText('paid.yaml', text), { adapters })
    if (snapshot === undefined) throw new Error(JSON.stringify(problems))
    return snapshot
  }
}
