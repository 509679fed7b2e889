// The sidecars of a simulation: requests that they are asked about, with what their answers are held against, and the nodes
// that they cannot reach for a while.

import { OUT_OF_TOUCH_MS } from '../../src/kernel/revocation.ts'
import type { CheckOutcome } from '../../src/kernel/services.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { type Answered, type Judge, WrongAnswer } from './judge.ts'
import type { ConfigModel } from './oracle/model.ts'
import type { Picker } from './random.ts'
import type { RevokedLog } from './revoked.ts'
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

export type SidecarAsked = Pick<Answered, 'charging' | 'quotas' | 'references' | 'id' | 'bag'>

export class SidecarFleet {
  readonly #options: FleetOptions
  readonly #sidecars: SimulatedSidecar[] = []
  /** What was wrong with something that a node told. */
  #problem: unknown
  /** Checks that sidecars answered by themselves, and those that nobody answered, since no node could be reached. */
  kept = 0
  stale = 0
  unanswered = 0

  constructor(options: FleetOptions) {
    this.#options = options
  }

  /** As many as there are nodes by now. */
  start(): void {
    const { clock, pick, nodes, judge } = this.#options
    const onTold: Judge['handedOut'] = (told) => {
      try {
        judge.handedOut(told)
      } catch (caught) {
        // Nobody may be waiting who could tell of it.
        this.#problem ??= caught
      }
    }
    for (const _ of nodes) this.#sidecars.push(new SimulatedSidecar({ clock, pick, nodes, onTold }))
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
    const before = {
      bag: wellTyped(given, asked.id),
      askedAt: clock.monotonic(),
      revokedAt: revoked.now(),
      keeps: pick.chance(0.2),
    }
    const answered = (told: Told) => this.#answered(sidecar, { ...asked, ...before }, told)
    const { id, charging, quotas, references } = asked
    // Without a name of its own a check may be paid for ahead.
    const retries = pick.chance(0.5) ? { deduplicationId: id } : {}
    const options = { charging, quotas, references, keepsAnswer: before.keeps, ...retries }
    const told = sidecar.check(id, before.bag, options)
    if (!(told instanceof Promise)) return answered(told)
    const pending = told.then(answered)
    // It may be over before anybody waits.
    pending.catch(() => undefined)
    return pending
  }

  #answered(
    sidecar: SimulatedSidecar,
    asked: SidecarAsked & Pick<Answered, 'askedAt' | 'revokedAt' | 'keeps'>,
    { outcome, by, config }: Told,
  ): Answered | undefined {
    const { clock, nodes } = this.#options
    if (this.#problem !== undefined) throw this.#problem
    if (outcome === undefined) {
      this.unanswered++
      return undefined
    }
    const common = { ...asked, outcome, answeredAt: clock.monotonic(), bySidecar: true, alsoRead: undefined }
    if (by !== undefined) return { ...common, config: (nodes[by] as ConfiguredNode).config, isKept: false }
    this.#count(sidecar, outcome)
    const revokedAt = this.#options.revoked.heard(sidecar.nodes.known, SURELY_KNOWN_MS)
    return { ...common, config: this.#options.modelOf(config) as ConfigModel, isKept: true, revokedAt }
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
