// The nodes of a simulation as one sidecar sees them: each over a batch stream of its own, which is lost now and then, and
// from which news come late.

import type { NodeConfig, NodeQuestion, Nodes } from '../../src/client/nodes/nodes.ts'
import { HeardRevocations, type Retelling, type Teller } from '../../src/client/nodes/heard-revocations.ts'
import { ASK_EVERY_MS, type NewsTaker } from '../../src/client/nodes/stream-news.ts'
import { ToldConfigs } from '../../src/client/nodes/told-configs.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { Epoch } from '../../src/kernel/revocation.ts'
import type { GrpcService } from '../../src/server/grpc-service.ts'
import type { ToldAnswer } from '../../src/wire/batch/answer-batch.ts'
import type { News } from '../../src/wire/batch/news.ts'
import type { FakeClock } from '../helpers/clock.ts'
import type { Picker } from './random.ts'
import { TRACE } from './vocabulary.ts'
import { type ServedNode, WireStream } from './wire-stream.ts'

/** How long a message is on its way, in ms. */
const WAYS_MS = [0, 0, 0, 0, 1, 20] as const
/** Questions over one stream until another one takes its place. */
const STREAM_QUESTIONS = 300
/** What nobody waits for is asked with less time. */
const BACKGROUND_TIMEOUT_MS = 1_000
const NO_BAG = new MapBag(new Map())

interface Line {
  readonly id: string
  readonly door: GrpcService
  readonly taker: NewsTaker
  stream: WireStream | undefined
  asked: number
  isCut: boolean
}

export interface SimulatedNodesOptions {
  /** Of the sidecar. */
  readonly name: string
  readonly clock: FakeClock
  readonly pick: Picker
  readonly nodes: readonly ServedNode[]
  readonly witness: Witness
  /** Callers of its own that follow what it hears. */
  readonly retelling?: Retelling
  /** Nodes have told something, or one is lost. */
  readonly onNews?: () => void
}

/** Hears what is asked of nodes, and what they say. */
export interface Witness {
  /** A node is asked; what is returned hears its answer, when that arrives. */
  asked(question: NodeQuestion, id: string, by: number): (told: ToldAnswer) => void
}

export class SimulatedNodes implements Nodes {
  readonly #options: SimulatedNodesOptions
  readonly #lines: readonly Line[]
  readonly #revocations: HeardRevocations
  readonly #configs = new ToldConfigs()
  /** Up to which revocation all are known. */
  known: Epoch | undefined
  #reachedAt = 0
  /** Which node gave the answer to a check, by the name of the check. */
  readonly #answeredBy = new Map<string, number>()
  #background = 0
  #cuts = 0
  /** What nodes were asked beside the answers that checks got: ahead of need, and on streams that were lost. */
  unconcluded = 0
  /** The node that is asked first. */
  home = 0

  constructor(options: SimulatedNodesOptions) {
    this.#options = options
    this.#revocations = new HeardRevocations(options.clock, options.retelling)
    this.#lines = options.nodes.map(({ door }, index) => {
      const id = String(index)
      return { id, door, taker: this.#taker(id), stream: undefined, asked: 0, isCut: false }
    })
    this.#keepInTouch()
  }

  /** How often nodes were cut off. */
  get cuts(): number {
    return this.#cuts
  }

  get isAnyCut(): boolean {
    return this.#lines.some(({ isCut }) => isCut)
  }

  /** The node that has answered a check; to be asked once. */
  takeAnsweredBy(check: string): number | undefined {
    const index = this.#answeredBy.get(check)
    this.#answeredBy.delete(check)
    return index
  }

  async ask(question: NodeQuestion): Promise<ToldAnswer> {
    const isOwn = question.timeoutMs > BACKGROUND_TIMEOUT_MS && question.quotasOnly !== true
    const trace = question.bag.get(TRACE)
    const check = typeof trace === 'string' ? trace : ''
    // What is asked ahead of need, and quotas beside a kept answer, are charged by themselves: a node may have another config.
    const deduplicationId = isOwn ? check : `${this.#options.name} ${this.#background++}`
    const { told, by } = await this.#ask({ ...question, deduplicationId })
    if (!isOwn) return told
    this.#answeredBy.set(check, by)
    this.unconcluded--
    return told
  }

  config(): NodeConfig | undefined {
    return this.#configs.same ?? this.#configs.firstOf([String(this.home)])
  }

  get revocations(): Pick<HeardRevocations, 'allows' | 'outOfTouchMs' | 'partitionMaxAgeMs'> {
    return this.#revocations
  }

  confirm(): void {
    for (const { stream } of this.#lines) stream?.confirm()
  }

  maxAgeMs(): number {
    return this.#revocations.maxAgeMs()
  }

  /** Since when no node could be heard; `undefined` where one can. */
  get aloneSince(): number | undefined {
    return this.#lines.every(({ isCut }) => isCut) ? this.#reachedAt : undefined
  }

  call(): Promise<Uint8Array> {
    throw new Error('nobody calls')
  }

  /** Cuts a node off, or lets it be reached again. */
  cut(index: number, isCut: boolean): void {
    const line = this.#line(index)
    if (line.isCut === isCut) return
    this.#reachedAt = this.#options.clock.monotonic()
    line.isCut = isCut
    if (!isCut) return
    this.#cuts++
    this.#lose(line)
  }

  async #ask(question: NodeQuestion): Promise<{ readonly told: ToldAnswer; readonly by: number }> {
    const { witness } = this.#options
    const { deduplicationId = '' } = question
    let failure = new IntermixError('BACKEND_FAILED', 'no node can be reached')
    for (const by of [this.home, (this.home + 1) % this.#lines.length]) {
      const line = this.#line(by)
      const stream = this.#stream(line)
      if (stream === undefined) continue
      try {
        this.unconcluded++
        const hear = witness.asked(question, deduplicationId, by)
        const told = await stream.ask(question)
        hear(told)
        return { told, by }
      } catch (caught) {
        failure = IntermixError.from(caught)
        if (!failure.retryable) break
      }
    }
    throw failure
  }

  #line(index: number): Line {
    return this.#lines[index] as Line
  }

  #stream(line: Line): WireStream | undefined {
    if (line.isCut) return undefined
    if (line.stream !== undefined && line.asked++ < STREAM_QUESTIONS) return line.stream
    if (line.stream?.isWaiting === true) return line.stream
    this.#lose(line)
    line.asked = 0
    const { clock, pick } = this.#options
    line.stream = new WireStream(clock, line.door, line.taker, () => pick.of(WAYS_MS))
    return line.stream
  }

  #lose(line: Line): void {
    line.stream?.cut()
    line.stream = undefined
  }

  #keepInTouch(): void {
    for (const line of this.#lines) this.#stream(line)
    this.#options.clock.after(ASK_EVERY_MS, () => this.#keepInTouch())
  }

  /** What is confirmed is less, where callers of its own are behind. */
  #knownBy(teller: Teller, { epoch }: News): Epoch | undefined {
    if (this.#options.retelling === undefined) return teller.heard().epoch
    return epoch !== undefined && this.#revocations.allows(epoch, [], NO_BAG) ? epoch : this.known
  }

  #taker(id: string): NewsTaker {
    const teller = this.#revocations.teller()
    return {
      name: 'sidecar',
      heard: () => teller.heard(),
      take: (news, sentAt) => {
        if (news.config !== undefined) this.#configs.set(id, news.config)
        const isNew = teller.take(news, sentAt)
        this.known = this.#knownBy(teller, news)
        this.#options.onNews?.()
        return isNew
      },
      lost: () => {
        teller.lost()
        this.#configs.lost(id)
        this.#options.onNews?.()
      },
    }
  }
}
