// Nodes that grant from a bucket for each user, after a while, and keep account of what they have granted.

import type { NodeAnswer, NodeGrant, NodeQuestion, Nodes } from '../../../src/client/nodes/nodes.ts'
import type { AnswerShape, AskedQuestion } from '../../../src/kernel/answer-shape.ts'
import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import type { Clock } from '../../../src/kernel/ports.ts'
import { Code, OK_STATUS } from '../../../src/kernel/status.ts'
import { answerOf } from '../../server/fixtures.ts'

export interface Bucket {
  /** Amounts in a second, and how many at once. */
  readonly rate: number
  readonly burst: number
  readonly validForMs: number
}

interface Level {
  tokens: number
  at: number
}

export class GrantingNodes implements Pick<Nodes, 'ask'> {
  config = 'c1'
  scope = 'rules'
  latencyMs = 0
  /** What becomes of questions now. */
  mode: 'answers' | 'fails' | 'hangs' | 'no-shape' = 'answers'
  readonly asked: NodeQuestion[] = []
  granted = 0
  readonly #clock: Clock
  readonly #bucket: Bucket
  readonly #levels = new Map<string, Level>()

  constructor(clock: Clock, bucket: Bucket) {
    this.#clock = clock
    this.#bucket = bucket
  }

  ask(question: NodeQuestion): Promise<NodeAnswer> {
    this.asked.push(question)
    const { mode } = this
    return new Promise((resolve, reject) => {
      const failure = new IntermixError('DEADLINE_EXCEEDED', 'the node gave no answer in time')
      if (mode === 'hangs') return void this.#clock.after(question.timeoutMs, () => reject(failure))
      if (mode === 'fails') return reject(new IntermixError('BACKEND_FAILED', 'the node is gone'))
      const grants = new Map<string, NodeGrant>()
      for (const [name, { amount, bestEffort }] of question.quotas ?? [])
        grants.set(name, this.#grant(question.bag, amount, bestEffort))
      const answer: NodeAnswer = { answer: answerOf(), shape: undefined, staleForMs: 0, isPaid: false, grants }
      if (this.latencyMs === 0) return resolve(answer)
      this.#clock.after(this.latencyMs, () => resolve(answer))
    })
  }

  #grant(bag: AttributeBag, amount: number, bestEffort: boolean): NodeGrant {
    const { rate, burst, validForMs } = this.#bucket
    const given = bag.get('source.user')
    const user = typeof given === 'string' ? given : ''
    const now = this.#clock.monotonic()
    const level = this.#levels.get(user) ?? { tokens: burst, at: now }
    this.#levels.set(user, level)
    level.tokens = Math.min(burst, level.tokens + ((now - level.at) * rate) / 1_000)
    level.at = now
    const free = Math.floor(level.tokens)
    const granted = amount <= free ? amount : bestEffort ? free : 0
    level.tokens -= granted
    this.granted += granted
    const shape = this.mode === 'no-shape' ? undefined : this.#shape(bag)
    if (granted > 0) return { status: OK_STATUS, granted, validForMs, shape }
    const status = { code: Code.RESOURCE_EXHAUSTED, message: 'the bucket is empty' }
    return { status, granted: 0, validForMs: Math.ceil(((1 - level.tokens) / rate) * 1_000), shape }
  }

  #shape(bag: AttributeBag): AnswerShape {
    const user: AskedQuestion = {
      id: 'asource.user',
      question: { kind: 'attribute', name: 'source.user' },
      outcome: bag.get('source.user') === undefined ? 'absent' : 'present',
    }
    const epoch = { generation: 'g', sequence: 0 }
    const { config, scope } = this
    return { config, choosing: [], scope, reads: [user], handlers: [], epoch, generated: [] }
  }
}
