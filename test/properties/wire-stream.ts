// A batch stream between a caller and a node of the simulation: the real door and real messages, on a way that takes time.

import type { NodeQuestion } from '../../src/client/nodes/nodes.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { StreamNews, type NewsTaker } from '../../src/client/nodes/stream-news.ts'
import { RevocationCallers } from '../../src/cache/revocation-callers.ts'
import { ComposedNews } from '../../src/compose/node-news.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import { batchService } from '../../src/server/batch-stream.ts'
import { extAuthzService } from '../../src/server/ext-authz.ts'
import type { GrpcService, GrpcStreamHandler } from '../../src/server/grpc-service.ts'
import { AnswerBatches, type ToldAnswer } from '../../src/wire/batch/answer-batch.ts'
import { CheckBatchWriter } from '../../src/wire/batch/check-batch-writer.ts'
import type { Heard } from '../../src/wire/batch/news.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { Way } from '../helpers/way.ts'
import { KeptLog } from '../redis/support.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** How old an answer may be that is given by who is out of touch. */
export const PARTITION_MAX_AGE_MS = 8_000

/** A node, with the door that it serves streams by. */
export interface ServedNode {
  readonly node: SimulatedNode
  readonly door: GrpcService
  /** Its door for Envoy's own filter. */
  readonly authz: GrpcService
  readonly news: ComposedNews
  /** Those that follow its revocations. */
  readonly callers: RevocationCallers
}

/** Opens the door of a node that is never overloaded. @param normalizes whether policy sees paths and hosts in normal form */
export function served(clock: FakeClock, node: SimulatedNode, normalizes = false): ServedNode {
  const { engine, quotas, meter, revocations } = node
  const callers = new RevocationCallers({ clock, revocations })
  const news = new ComposedNews({
    revocations,
    callers,
    service: { outOfTouchMs: () => 0 },
    partitionMaxAgeMs: PARTITION_MAX_AGE_MS,
    normalizes,
    allowedAmbiguities: new Set(),
    state: () => node.state(),
  })
  const common = {
    check: normalizes ? new NormalizingCheck({ check: engine, allowed: new Set(), meter }) : engine,
    clock,
    log: new KeptLog(),
    meter,
    defaultTimeoutMs: 10_000,
  }
  const door = batchService({
    ...common,
    quotas,
    news,
    report: { accept: () => undefined },
    random: () => 0.5,
    nextBatchId: () => 'simulated-1',
    admission: { checksPerSecond: () => 0, door: () => ({ admit: () => undefined, end: () => undefined }) },
  })
  return { node, door, authz: extAuthzService(common), news, callers }
}

interface Waiting {
  readonly resolve: (answer: ToldAnswer) => void
  readonly reject: (error: IntermixError) => void
}

export class WireStream {
  readonly #up: Way
  readonly #down: Way
  readonly #takesMs: () => number
  readonly #handler: GrpcStreamHandler
  readonly #writer = new CheckBatchWriter({ maxWords: 100, maxBytes: 4_000 })
  readonly #news: StreamNews
  readonly #waiting = new Map<number, Waiting>()
  #id = 0

  /** @param takesMs how long a message takes, each one anew */
  constructor(clock: FakeClock, door: GrpcService, taker: NewsTaker, takesMs: () => number) {
    this.#up = new Way(clock)
    this.#down = new Way(clock)
    this.#takesMs = takesMs
    const batches = new AnswerBatches()
    const [method] = door.methods
    if (method?.kind !== 'stream') throw new Error('the door has no stream')
    this.#handler = method.open({
      deadline: Number.POSITIVE_INFINITY,
      peer: 'simulated',
      write: (written) => {
        const message = Uint8Array.from(written)
        this.#down.send(takesMs(), () =>
          batches.read(message, {
            answered: (id, told) => this.#take(id)?.resolve(told),
            failed: (id, { code, message: why }) =>
              this.#take(id)?.reject(new IntermixError('OVERLOADED', `${code} ${why}`)),
            leaving: () => undefined,
            news: (news) => this.#news.take(news),
          }),
        )
        return true
      },
      end: (failure) => {
        throw new Error(`the node ended the stream: ${JSON.stringify(failure)}`)
      },
      pause: () => undefined,
      resume: () => undefined,
    })
    const send = (heard: Heard) => {
      this.#writer.hear(heard)
      this.#send()
    }
    this.#news = new StreamNews({ clock, taker, send, onDead: () => this.cut() })
    this.#writer.keepAnswers()
    this.#writer.nameCaller(taker.name)
    this.#send()
    this.#news.start()
  }

  ask(question: NodeQuestion): Promise<ToldAnswer> {
    return new Promise((resolve, reject) => {
      const id = ++this.#id
      this.#writer.add(id, question.timeoutMs, question.bag, question)
      this.#waiting.set(id, { resolve, reject })
      this.#send()
    })
  }

  confirm(): void {
    this.#news.confirm()
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  /** Cuts the connection: what is on its way is lost. */
  cut(): void {
    this.#up.close()
    this.#down.close()
    this.#handler.closed()
    this.#news.stop()
    for (const id of this.#waiting.keys()) this.#take(id)?.reject(lost())
  }

  #send(): void {
    const message = Uint8Array.from(this.#writer.take())
    this.#up.send(this.#takesMs(), () => this.#handler.message(message))
  }

  #take(id: number): Waiting | undefined {
    const found = this.#waiting.get(id)
    this.#waiting.delete(id)
    return found
  }
}

const lost = () => new IntermixError('BACKEND_FAILED', 'the node cannot be reached')
