// Nodes whose answers a test writes: what a node is asked and what becomes of its answers is seen apart from nodes.

import type { NodeAnswer, NodeConfig, NodeQuestion, Nodes } from '../../src/client/nodes/nodes.ts'
import type { AnswerShape } from '../../src/kernel/answer-shape.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { answerOf } from '../server/fixtures.ts'

export const EPOCH = { generation: 'local', sequence: 0 }

/** Of an answer that hangs on the value of one attribute, in all requests that bring it. */
export function shapeBy(name: string, more: Partial<AnswerShape> = {}): AnswerShape {
  const asked = { id: `a${name}`, question: { kind: 'attribute', name }, outcome: 'present' } as const
  return {
    config: 'c1',
    choosing: [],
    scope: 's',
    reads: [asked],
    handlers: ['h'],
    epoch: EPOCH,
    generated: [],
    ...more,
  }
}

export interface Script extends Partial<Omit<NodeAnswer, 'answer'>> {
  readonly answer?: Partial<Answer>
}

export class ScriptedNodes implements Nodes {
  readonly asked: NodeQuestion[] = []
  /** What the next questions are answered with; an error: no node answers. */
  script: (question: NodeQuestion) => Script | IntermixError = () => ({})
  known: NodeConfig | undefined = {
    id: 'c1',
    vocabulary: new Map(),
    normalizes: true,
    allowedAmbiguities: new Set(),
  }
  maxAge = Number.POSITIVE_INFINITY

  async ask(question: NodeQuestion): Promise<NodeAnswer> {
    this.asked.push(question)
    const script = this.script(question)
    if (script instanceof IntermixError) throw script
    const { answer, ...told } = script
    return {
      shape: shapeBy('a'),
      staleForMs: 0,
      isPaid: false,
      grants: new Map(),
      ...told,
      answer: answerOf({ validForMs: 10_000, ...answer }),
    }
  }

  config(): NodeConfig | undefined {
    return this.known
  }

  maxAgeMs(): number {
    return this.maxAge
  }

  call(): Promise<Uint8Array> {
    throw new Error('nobody calls here')
  }
}
