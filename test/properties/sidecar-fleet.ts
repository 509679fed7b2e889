// The sidecars of a simulation: requests that they are asked about, with what their answers are held against, and the nodes
// that they cannot reach for a while.

import { OUT_OF_TOUCH_MS } from '../../src/kernel/revocation.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { type Answered, type Judge, WrongAnswer } from './judge.ts'
import type { ConfigModel } from './oracle/model.ts'
import type { Picker } from './random.ts'
import type { RevokedLog } from './revoked.ts'
import type { Witness } from './simulated-nodes.ts'
import { SimulatedSidecar, type Told, wellTyped } from './simulated-sidecar.ts'
import { PARTITION_MAX_AGE_MS, type ServedNode } from './wire-stream.ts'

/** What was revoked so long ago holds at each sidecar, whatever it has heard. */
const SURELY_KNOWN_MS = PARTITION_MAX_AGE_MS + OUT_OF_TOUCH_MS

/** A node, with the config that it has. */
export interface ConfiguredNode extends ServedNode {
  readonly config: ConfigModel
}

export interface FleetOptions {
  readonly clock: FakeClock
  readonly pick: Picker
  readonly nodes: readonly ConfiguredNode[]
  readonly revoked: RevokedLog
  readonly judge: Judge
  /** A config by the name that its snapshot has. */
  modelOf(id: string): ConfigModel | undefined
}

export interface SidecarAsked extends Pick<Answered, 'charging' | 'quotas' | 'references' | 'id' | 'bag'> {
  /** Whether it has a name by which it is known should it be asked again. */
  readonly isRetried: boolean
}

export class SidecarFleet {
  readonly #options: FleetOptions
  readonly #sidecars: SimulatedSidecar[] = []
  /** What was wrong with something that a node told. */
  #problem: unknown
  /** Checks that sidecars were asked, that they answered by themselves, and those that nobody answered, since no node could be reached. */
  asked = 0
  kept = 0
  stale = 0
  unanswered = 0

  constructor(options: FleetOptions) {
    this.#options = options
  }

  /** As many as there are nodes by now. */
  start(): void {
    const { clock, pick, nodes } = this.#options
    for (const index of nodes.keys()) {
      const name = `sidecar${index}`
      this.#sidecars.push(new SimulatedSidecar({ name, clock, pick, nodes, witness: this.#witness(index, name) }))
    }
  }

  #witness(index: number, sidecar: string): Witness {
    const { clock, nodes, judge } = this.#options
    const configOf = (by: number) => (nodes[by] as ConfiguredNode).config
    return {
      asked: (question, id, by) => {
        const { uses = 1, bag } = question
        const askedAt = clock.monotonic()
        const configs = [configOf(by)]
        if (uses < 0) {
          const config = this.#options.modelOf(this.#sidecar(index).nodes.config()?.id ?? '')
          this.#hold(() => judge.givenBack(sidecar, config as ConfigModel, bag, -uses))
          return () => undefined
        }
        return (told) => {
          const isBackground = id.startsWith(sidecar)
          const common = { sidecar, id, question, told, askedAt, isBackground, arrivedAt: clock.monotonic() }
          this.#hold(() => judge.handedOut({ ...common, configs: [...new Set([...configs, configOf(by)])] }))
          if (isBackground) judge.sidecars.forget(id)
        }
      },
    }
  }

  /** Nobody may be waiting who could tell of what is wrong. */
  #hold(judge: () => void): void {
    try {
      judge()
    } catch (caught) {
      this.#problem ??= caught
    }
  }

  /** Checks that nodes evaluated and nobody was answered. */
  get unconcluded(): number {
    return this.#sidecars.reduce((sum, { nodes }) => sum + nodes.unconcluded, 0)
  }

  /** A sidecar cannot reach some nodes, or can again. */
  cut(index: number, isCut: readonly boolean[]): void {
    const { nodes } = this.#sidecar(index)
    for (const at of this.#options.nodes.keys()) nodes.cut(at, isCut[at % isCut.length] ?? false)
  }

  /**
   * Asks a sidecar, which asks a node first where it has no answer.
   * @returns `undefined` where it has none, and reaches no node
   */
  ask(
    index: number,
    home: number,
    { bag: given, ...asked }: SidecarAsked,
  ): Answered | Promise<Answered | undefined> | undefined {
    const { clock, pick, revoked } = this.#options
    const sidecar = this.#sidecar(index)
    sidecar.nodes.home = home
    this.asked++
    const before = {
      bag: wellTyped(given, asked.id),
      askedAt: clock.monotonic(),
      revokedAt: revoked.now(),
      keeps: pick.chance(0.2),
    }
    const answered = (told: Told) => this.#answered(index, { ...asked, ...before }, told)
    const { id, charging, quotas, references, isRetried } = asked
    // Without a name of its own a check may be paid for ahead.
    const retries = isRetried ? { deduplicationId: id } : {}
    const options = { charging, quotas, references, keepsAnswer: before.keeps, ...retries }
    const told = sidecar.check(id, before.bag, options)
    if (!(told instanceof Promise)) return answered(told)
    const pending = told.then(answered)
    // It may be over before anybody waits.
    pending.catch(() => undefined)
    return pending
  }

  #answered(
    index: number,
    asked: SidecarAsked & Pick<Answered, 'askedAt' | 'revokedAt' | 'keeps'>,
    { outcome, by, config }: Told,
  ): Answered | undefined {
    const { clock, nodes } = this.#options
    const sidecar = this.#sidecar(index)
    if (this.#problem !== undefined) throw this.#problem
    if (outcome === undefined) {
      this.unanswered++
      return undefined
    }
    const common = { ...asked, outcome, answeredAt: clock.monotonic(), alsoRead: undefined, sidecar: `sidecar${index}` }
    if (by !== undefined)
      return { ...common, config: (nodes[by] as ConfiguredNode).config, isKept: false, quotaConfigs: [] }
    this.#count(sidecar, outcome)
    const revokedAt = this.#options.revoked.heard(sidecar.nodes.known, SURELY_KNOWN_MS)
    const quotaConfigs = [...new Set(this.#options.nodes.map((node) => node.config))]
    return { ...common, config: this.#options.modelOf(config) as ConfigModel, isKept: true, revokedAt, quotaConfigs }
  }

  #count({ nodes: { aloneSince } }: SimulatedSidecar, { answer }: CheckOutcome): void {
    this.kept++
    if (answer.tier === 'stale') this.stale++
    const isInTouch = aloneSince === undefined || this.#options.clock.monotonic() < aloneSince + SURELY_KNOWN_MS
    if (isInTouch || answer.ageMs <= PARTITION_MAX_AGE_MS) return
    throw new WrongAnswer(`a sidecar that is out of touch gives an answer that is ${answer.ageMs} ms old`)
  }

  #sidecar(index: number): SimulatedSidecar {
    return this.#sidecars[index] as SimulatedSidecar
  }
}
