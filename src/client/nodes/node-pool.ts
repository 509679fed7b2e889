// The nodes of a mesh as one: what one of them does not answer, another one is asked while there is time.

import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Random } from '../../kernel/ports.ts'
import type { MeshMembers } from '../../wire/batch/news.ts'
import { ChooseNode, type ChooseNodeOptions, type Member, type NodeStanding } from './choose-node.ts'
import { HeardRevocations, type Retelling } from './heard-revocations.ts'
import type { NodeAddress } from './node-address.ts'
import { NodeLink } from './node-link.ts'
import type { Affinity, NodeAnswer, NodeConfig, NodeQuestion, Nodes, SampledCache } from './nodes.ts'
import { ASK_EVERY_MS, type NewsTaker } from './stream-news.ts'
import { ToldConfigs } from './told-configs.ts'

export interface PoolMember extends Member {
  readonly address: NodeAddress
}

export interface NodePoolOptions extends Omit<ChooseNodeOptions, 'clock' | 'random'> {
  readonly clock: Clock
  readonly random: Random
  /** How long connecting to one node may take, in ms. */
  readonly connectTimeoutMs: number
  /** What nodes take as one message, in bytes; 4 MiB unless given. */
  readonly maxMessageBytes?: number
  /** How long a node that goes is left alone, in ms; another one may come in its place. */
  readonly leavingMs?: number
  /** The name under which nodes tell this process their news; unset: they are not asked for any. */
  readonly caller?: string
  /** A node has sent what cannot be read, or too much; what it was sent over has ended. */
  readonly onRefused?: (error: Error, node: string) => void
  /** Nodes have told which nodes there are. */
  readonly onMembers?: (members: MeshMembers) => void
  /** Callers of its own that follow what it hears of revocations. */
  readonly retelling?: Retelling | undefined
  /** Nodes have told something, or one cannot be heard any more. */
  readonly onNews?: () => void
}

/** Nodes that are tried for one question. */
const TRIES = 2
/** The part of the time that the first one has: a node that hangs leaves the next one time to answer. */
const FIRST_SHARE = 0.6
const LEAVING_MS = 30_000
/** Nodes that are kept in touch with though they are not asked: the second one, so that the loss of one is not felt. */
const IN_TOUCH_WITH = 2

interface Pooled {
  readonly member: PoolMember
  readonly link: NodeLink
  readonly news: { gone(): void } | undefined
}

export class NodePool implements Nodes, Disposable {
  readonly #options: NodePoolOptions
  readonly #choice: ChooseNode
  readonly #nodes = new Map<string, Pooled>()
  /** Those that told that they go, each with what ends the wait for another one in its place. */
  readonly #leaving = new Map<string, () => void>()
  /** What ids of questions begin with. */
  #prefix: string | undefined
  #asked = 0
  #sampled: SampledCache | undefined
  readonly #revocations: HeardRevocations
  readonly #configs = new ToldConfigs()
  /** Those that have told something over the stream that is open. */
  readonly #telling = new Set<string>()
  #cancelTouch = () => {}

  constructor(options: NodePoolOptions) {
    this.#options = options
    this.#choice = new ChooseNode(options)
    this.#revocations = new HeardRevocations(options.clock, options.retelling)
  }

  /** What nodes have told of revocations: answers that are kept are held against it. */
  get revocations(): Pick<HeardRevocations, 'allows' | 'outOfTouchMs' | 'partitionMaxAgeMs'> {
    return this.#revocations
  }

  /** Whether any node can be heard now. */
  get isHeard(): boolean {
    return this.#telling.size > 0
  }

  /** Nodes that are known, and how many of them can be heard now. */
  get counts(): { readonly known: number; readonly heard: number } {
    return { known: this.#nodes.size, heard: this.#telling.size }
  }

  /** What is known of each node, for people. */
  view(): readonly (NodeStanding & {
    readonly isHeard: boolean
    readonly config?: string
    readonly waiting: number
  })[] {
    return this.#choice.view().map((standing) => {
      const { id } = standing
      const config = this.#configs.of(id)?.id
      const waiting = this.#nodes.get(id)?.link.waiting ?? 0
      return { ...standing, isHeard: this.#telling.has(id), ...(config === undefined ? {} : { config }), waiting }
    })
  }

  maxAgeMs(): number {
    return this.#revocations.maxAgeMs()
  }

  /** What `of` says is looked at only where it matters: finding it out may cost something. */
  config(of: Affinity): NodeConfig | undefined {
    return this.#configs.same ?? this.#configs.firstOf(this.#choice.choose(of.affinity, of.tenant, TRIES))
  }

  /** Who is there from now on. An empty list changes nothing. */
  setMembers(members: readonly PoolMember[]): void {
    if (members.length === 0) return
    const ids = new Set(members.map(({ id }) => id))
    for (const [id, { link, news }] of this.#nodes) {
      if (ids.has(id)) continue
      this.#nodes.delete(id)
      this.#leaving.get(id)?.()
      this.#leaving.delete(id)
      link[Symbol.dispose]()
      news?.gone()
    }
    for (const member of members) {
      const known = this.#nodes.get(member.id)
      this.#nodes.set(member.id, known === undefined ? this.#linkTo(member) : { ...known, member })
    }
    this.#tellChoice()
    this.#keepInTouch()
  }

  /**
   * Asks for an answer: of the node that has it most likely, and of the next one where that gives none. Rejects with the
   * IntermixError of the last one, or NOT_READY where no node is known.
   */
  ask(given: NodeQuestion): Promise<NodeAnswer> {
    const isTwice = this.#nodes.size > 1 && isChargedTwice(given)
    const question = isTwice ? { ...given, deduplicationId: this.#nextId() } : given
    const ask = (link: NodeLink, timeoutMs: number) => link.ask({ ...question, timeoutMs })
    // What two nodes are given back is granted twice.
    return this.#first(question, ask, (question.uses ?? 1) < 0 ? 1 : TRIES)
  }

  /**
   * One unary gRPC call, the message as it is, of the nodes that `ask` would ask. Rejects as `ask` does, and with what the status
   * of a node means.
   */
  call(path: string, message: Uint8Array, how: Pick<NodeQuestion, keyof Affinity | 'timeoutMs'>): Promise<Uint8Array> {
    return this.#first(how, (link, timeoutMs) => link.call(path, message, timeoutMs))
  }

  /** What the first node brings, or the next one where that fails. */
  async #first<T>(
    { timeoutMs, affinity, tenant }: Pick<NodeQuestion, keyof Affinity | 'timeoutMs'>,
    bring: (link: NodeLink, timeoutMs: number) => Promise<T>,
    tries = TRIES,
  ): Promise<T> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + timeoutMs
    const ids = this.#choice.choose(affinity, tenant, tries)
    let failure = new IntermixError('NOT_READY', 'no node is known')
    for (const [at, id] of ids.entries()) {
      const leftMs = deadline - clock.monotonic()
      if (leftMs <= 0) break
      const shareMs = at < ids.length - 1 ? leftMs * FIRST_SHARE : leftMs
      const found = await this.#try(id, (link) => bring(link, shareMs))
      if (!(found instanceof IntermixError)) return found
      failure = found
      if (!failure.retryable) break
    }
    throw failure
  }

  /** What was heard of revocations is to be confirmed to all nodes now. */
  confirm(): void {
    for (const { link } of this.#nodes.values()) link.confirm()
  }

  /** Ends at once: what waits fails. */
  [Symbol.dispose](): void {
    this.#cancelTouch()
    for (const cancel of this.#leaving.values()) cancel()
    for (const { link } of this.#nodes.values()) link[Symbol.dispose]()
    this.#nodes.clear()
  }

  async #try<T>(id: string, bring: (link: NodeLink) => Promise<T>): Promise<T | IntermixError> {
    const node = this.#nodes.get(id)
    if (node === undefined) return new IntermixError('NOT_READY', `the node ${id} is gone`)
    try {
      const brought = await bring(node.link)
      this.#choice.answered(id)
      return brought
    } catch (caught) {
      const failure = IntermixError.from(caught)
      // One that says so itself is there, and asked again for the next request.
      const isAway = failure.retryable && failure.code !== 'OVERLOADED' && failure.backend !== 'answered'
      if (isAway) this.#choice.failed(id)
      return failure
    }
  }

  /** One that no other question has, of any caller. */
  #nextId(): string {
    const { random } = this.#options
    this.#prefix ??= `${toId(random())}${toId(random())}-`
    return `${this.#prefix}${(this.#asked++).toString(36)}`
  }

  #linkTo(member: PoolMember): Pooled {
    const { id, address } = member
    const { clock, random, connectTimeoutMs, maxMessageBytes, leavingMs = LEAVING_MS, onRefused } = this.#options
    const onLeaving = () => {
      if (this.#leaving.has(id)) return
      const cancel = clock.after(leavingMs, () => {
        this.#leaving.delete(id)
        this.#tellChoice()
      })
      this.#leaving.set(id, cancel)
      this.#tellChoice()
    }
    const news = this.#takerFor(id)
    const heard = news === undefined ? {} : { news }
    const refused = { onRefused: (error: Error) => onRefused?.(error, id) }
    const bounds = maxMessageBytes === undefined ? {} : { maxMessageBytes }
    const link = new NodeLink({ clock, random, address, connectTimeoutMs, onLeaving, ...bounds, ...refused, ...heard })
    return { member, link, news }
  }

  /** Tells nodes of a cache from now on, and the cache of its size. */
  tellOf(sampled: SampledCache): void {
    this.#sampled = sampled
  }

  #takerFor(id: string): (NewsTaker & { gone(): void }) | undefined {
    const { caller, retelling, onMembers, onNews } = this.#options
    const sample = () => this.#sampled?.sample()
    if (caller === undefined) return undefined
    const teller = this.#revocations.teller()
    return {
      name: caller,
      heard: () => teller.heard(),
      sample,
      take: (news, sentAt) => {
        // Two that followed each other would tell each other the same for ever, and ask each other the same.
        if (retelling !== undefined && news.isRelayed === true)
          throw new IntermixError('BACKEND_FAILED', 'it is no node but a sidecar, which sidecars do not ask')
        if (!this.#telling.has(id)) this.#choice.answered(id)
        this.#telling.add(id)
        this.#choice.setLoad(id, news.load)
        if (news.config !== undefined) this.#configs.set(id, news.config)
        const isNew = teller.take(news, sentAt)
        if (news.members !== undefined) onMembers?.(news.members)
        if (news.recommendedEntries !== undefined) this.#sampled?.recommended(news.recommendedEntries)
        onNews?.()
        return isNew
      },
      lost: () => {
        teller.lost()
        this.#configs.lost(id)
        this.#choice.setLoad(id, undefined)
        // One that never told anything is not there.
        if (!this.#telling.delete(id)) this.#choice.failed(id)
        onNews?.()
      },
      gone: () => {
        teller.gone()
        this.#telling.delete(id)
        this.#configs.delete(id)
        onNews?.()
      },
    }
  }

  /** Opens links where too few are open, so that news comes although nothing is asked. */
  #keepInTouch(): void {
    const { clock, caller, random } = this.#options
    if (caller === undefined) return
    this.#cancelTouch()
    // Not all callers at the same moment.
    this.#cancelTouch = clock.after(ASK_EVERY_MS * (0.5 + random()), () => this.#keepInTouch())
    if (this.#telling.size >= Math.min(IN_TOUCH_WITH, this.#nodes.size)) return
    for (const id of this.#choice.choose(caller, caller, IN_TOUCH_WITH)) {
      const link = this.#nodes.get(id)?.link
      // Others are heard meanwhile.
      if (link?.isLate === true) this.#choice.failed(id)
      else if (!this.#choice.rests(id)) link?.open()
    }
  }

  #tellChoice(): void {
    this.#choice.setMembers(
      Array.from(this.#nodes.values(), ({ member: { id, isLeaving = false } }) => ({
        id,
        isLeaving: isLeaving || this.#leaving.has(id),
      })),
    )
  }
}

const toId = (random: number) => Math.floor(random * 2 ** 52).toString(36)

/**
 * Whether a node that does not answer may have charged what the next one is asked to charge too. Of a check that neither names
 * quotas nor pays for several uses at once that is one charge too many, seldom: less than what it costs to have Redis remember
 * each of them.
 */
function isChargedTwice({ deduplicationId, quotas, uses = 1 }: NodeQuestion): boolean {
  return deduplicationId === undefined && ((quotas !== undefined && quotas.size > 0) || uses > 1)
}
