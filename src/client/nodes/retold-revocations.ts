// Revocations as somebody who stands before nodes tells them on to callers of its own: it may follow several generations, and
// its callers follow one, which it numbers by itself. What nodes have answered is told on under these numbers.

import { RevocationCallers } from '../../cache/revocation-callers.ts'
import { Revocations } from '../../cache/revocations.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { CallersBehind, Epoch, Revocation, RevocationTarget } from '../../kernel/revocation.ts'
import type { Retelling } from './heard-revocations.ts'

/** One by its number here, and by that of the nodes. */
interface Retold {
  readonly own: number
  readonly theirs: number
}

/** One generation. */
interface Heard {
  /** What was answered below is void, or told on to nobody. */
  from: number
  /** The last one here when it was taken up: who lacks that may have answers from before. */
  readonly after: number
  /** The last ones, in their order. */
  retold: Retold[]
  /** Those that were forgotten before all callers had confirmed them: the last of them here, the first of them there. */
  overdue: Retold | undefined
}

/** Revocations of one generation between which answers can be told apart. */
const MAX_KEPT = 1_000
const ALL: RevocationTarget = { kind: 'all' }

export class RetoldRevocations implements Retelling {
  /** As callers are told them. */
  readonly revocations = new Revocations()
  readonly callers: RevocationCallers
  readonly #heard = new Map<string, Heard>()
  #hasBegun = false

  /** @param generation that no other process has, nor had this one before it was started again */
  constructor(clock: Clock, generation: string) {
    this.revocations.restart(generation, 0)
    this.callers = new RevocationCallers({ clock, revocations: this.revocations })
  }

  /**
   * Whether anything was ever followed. Callers that are told a generation forget all of others, such as what they have of the process
   * before this one, and would be left with nothing.
   */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /**
   * The number under which an answer is told on: all revocations behind it are those that its node had not taken into account. Whether
   * one of them is about it is for each request to say.
   * @returns `undefined` where that is not known, or the answer is void
   */
  stamp({ generation, sequence }: Epoch): Epoch | undefined {
    const heard = this.#heard.get(generation)
    if (heard === undefined || sequence < heard.from) return undefined
    const { epoch } = this.revocations
    // Mostly it takes all into account.
    if ((heard.retold.at(-1)?.theirs ?? 0) <= sequence) return epoch
    const next = heard.retold.find(({ theirs }) => theirs > sequence)
    return next === undefined ? epoch : { generation: epoch.generation, sequence: next.own - 1 }
  }

  followed({ generation, sequence }: Epoch): void {
    this.#hasBegun = true
    const after = this.revocations.epoch.sequence
    this.#heard.set(generation, { from: sequence, after, retold: [], overdue: undefined })
  }

  applied(generation: string, { sequence: theirs, target }: Revocation): void {
    const own = this.#tell(target)
    const heard = this.#heard.get(generation)
    if (heard === undefined) return
    heard.retold.push({ own, theirs })
    if (heard.retold.length > 2 * MAX_KEPT) this.#forget(heard)
  }

  left(generation: string): void {
    this.#heard.delete(generation)
    this.#tell(ALL)
  }

  confirmed(generation: string, sequence: number): number | undefined {
    const heard = this.#heard.get(generation)
    if (heard === undefined) return sequence
    const known = this.callers.known()
    if (known < heard.after) return undefined
    if (heard.overdue !== undefined && heard.overdue.own > known) return heard.overdue.theirs - 1
    const first = heard.retold.find(({ own }) => own > known)
    return first === undefined ? sequence : first.theirs - 1
  }

  behind(): CallersBehind | undefined {
    return this.callers.behind()
  }

  #tell(target: RevocationTarget): number {
    const own = this.revocations.epoch.sequence + 1
    this.revocations.apply({ sequence: own, target })
    return own
  }

  #forget(heard: Heard): void {
    const gone = heard.retold.slice(0, -MAX_KEPT)
    heard.retold = heard.retold.slice(-MAX_KEPT)
    const last = gone.at(-1)
    if (last === undefined) return
    heard.from = Math.max(heard.from, last.theirs)
    const known = this.callers.known()
    const wasOverdue = heard.overdue !== undefined && heard.overdue.own > known
    const first = wasOverdue ? heard.overdue : gone.find(({ own }) => own > known)
    heard.overdue = first && { own: last.own, theirs: first.theirs }
  }
}
