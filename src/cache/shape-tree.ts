// The shapes of one scope's answers as a decision tree. An evaluation is deterministic: what it reads next depends only
// on what it has read so far. So the reads of all answers form a tree, and walking it with a bag leads to the few
// shapes (nearly always one) under which that bag's answer can be stored: nothing is scanned, and an answer is found
// only under the shape of its own evaluation. A path is as long as its evaluation made reads, thousands where many rules
// are evaluated: what no two evaluations answered differently is one node with a list, and nothing recurses along a path.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { RecordedStep } from './read-collector.ts'
import type { ReadStep, StepAnswer } from './read-step.ts'

type Outcome = StepAnswer['outcome']

/** A step of a path, without the value that one request gave. */
export interface PathStep {
  readonly step: ReadStep
  readonly outcome: Outcome
}

/** Steps that all evaluations which come here take in the same way, and what comes after them. */
interface Node<L> {
  path: readonly PathStep[]
  /** The questions that were seen next. More than one only where the next question depends on a value. */
  questions: Question<L>[]
  shape: Shape<L> | undefined
  /** The question that leads here, and the answer to it; only the root has none. */
  readonly asked: Question<L> | undefined
  readonly outcome: Outcome
}

interface Question<L> {
  readonly step: ReadStep
  readonly branches: Map<Outcome, Node<L>>
  asker: Node<L>
}

/** A complete path through the tree, and what is kept for it. */
export class Shape<L> {
  node: Node<L>
  readonly kept: L
  #steps: readonly PathStep[] | undefined

  constructor(node: Node<L>, keep: (shape: Shape<L>) => L) {
    this.node = node
    this.kept = keep(this)
  }

  /** The steps that lead here, in order: always the same. It must be in its tree when they are asked for first. */
  get steps(): readonly PathStep[] {
    return (this.#steps ??= this.#walk())
  }

  #walk(): readonly PathStep[] {
    const parts: (readonly PathStep[])[] = []
    for (let at = this.node; ; ) {
      parts.push(at.path)
      const { asked } = at
      if (asked === undefined) return parts.toReversed().flat()
      parts.push([{ step: asked.step, outcome: at.outcome }])
      at = asked.asker
    }
  }
}

/** A question that is still to be tried, and the values that led to it. */
interface Fork<L> {
  readonly question: Question<L>
  readonly values: string
}

/**
 * Questions that may come next at one place: further ones take the place of the oldest. And how many are tried for a
 * request beside the straight way: only where keys are computed from values are there any.
 */
const MAX_QUESTIONS = 64
const MAX_FORKS = 256

/** What a node, a question and a step take of memory, in bytes; see `test/cache/answer-memory.test.ts`. */
const NODE_BYTES = 200
const QUESTION_BYTES = 280
const PATH_STEP_BYTES = 8
const OWN_STEP_BYTES = 200

/** Bounded by whoever owns it: each shape that is not wanted any more is to be removed. */
export class ShapeTree<L> {
  #root: Node<L> = rootNode()
  #size = 0
  #bytes = 0

  /** Shapes. */
  get size(): number {
    return this.#size
  }

  /** What all paths take of memory, roughly, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Looks for an answer: calls `probe` with what is kept for each shape that the bag fits, and the bag's values, until one
   * gives a result.
   */
  find<T>(bag: AttributeBag, probe: (kept: L, values: string) => T | undefined): T | undefined {
    let node: Node<L> | undefined = this.#root
    let values = ''
    let forks: Fork<L>[] | undefined
    // Where paths part, the same question may come on many of them: a whole map is made a text of once.
    let answers: Map<string, StepAnswer> | undefined
    let tries = 0
    for (;;) {
      if (node !== undefined) {
        for (const { step, outcome } of node.path) {
          const answer = answerOf(step, bag, answers)
          if (answer.outcome !== outcome) {
            node = undefined
            break
          }
          values += answer.value
        }
      }
      let question: Question<L> | undefined
      if (node !== undefined) {
        if (node.shape !== undefined) {
          const found = probe(node.shape.kept, values)
          if (found !== undefined) return found
        }
        const { questions }: Node<L> = node
        question = questions[0]
        if (questions.length > 1) {
          answers ??= new Map()
          forks ??= []
          for (let i = questions.length - 1; i > 0; i--) forks.push({ question: questions[i] as Question<L>, values })
        }
      }
      if (question === undefined) {
        const fork = forks?.pop()
        if (fork === undefined || ++tries > MAX_FORKS) return undefined
        question = fork.question
        values = fork.values
      }
      const answer = answerOf(question.step, bag, answers)
      node = question.branches.get(answer.outcome)
      values += answer.value
    }
  }

  /**
   * The shape of an evaluation that made these reads.
   * @param keep makes what is kept for a shape that is new
   * @param drop hears of shapes that made room for it, which are gone
   */
  add(steps: readonly RecordedStep[], keep: (shape: Shape<L>) => L, drop: (kept: L) => void): Shape<L> {
    const node = this.#nodeFor(steps, drop)
    if (node.shape === undefined) {
      node.shape = new Shape(node, keep)
      this.#size++
    }
    return node.shape
  }

  /** Forgets a shape of this tree, and all of its path that leads to no other. */
  remove({ node }: Shape<L>): void {
    node.shape = undefined
    this.#size--
    let barren = node
    while (barren.questions.length === 0 && barren.shape === undefined) {
      const { asked } = barren
      if (asked === undefined) {
        this.#setPath(barren, [])
        return
      }
      this.#bytes -= NODE_BYTES + bytesOf(barren.path)
      asked.branches.delete(barren.outcome)
      if (asked.branches.size > 0) return
      this.#forget(asked)
      barren = asked.asker
    }
  }

  #nodeFor(steps: readonly RecordedStep[], drop: (kept: L) => void): Node<L> {
    let node = this.#root
    let at = 0
    if (this.#size === 0) this.#setPath(node, steps.map(withoutValue))
    for (;;) {
      const { path } = node
      let shared = 0
      while (shared < path.length && at < steps.length && isSame(path[shared] as PathStep, steps[at] as RecordedStep)) {
        shared++
        at++
      }
      if (shared < path.length) this.#split(node, shared)
      const step = steps[at++]
      if (step === undefined) return node
      const question = this.#questionOf(node, step.step, drop)
      const next = question.branches.get(step.outcome)
      if (next === undefined) return this.#grow(question, step.outcome, steps.slice(at).map(withoutValue))
      node = next
    }
  }

  #grow(question: Question<L>, outcome: Outcome, path: readonly PathStep[]): Node<L> {
    const node: Node<L> = { path, questions: [], shape: undefined, asked: question, outcome }
    question.branches.set(outcome, node)
    this.#bytes += NODE_BYTES + bytesOf(path)
    return node
  }

  /** Makes a node of what comes after the first steps of another's path. */
  #split(node: Node<L>, at: number): void {
    const { path, questions, shape } = node
    const { step, outcome } = path[at] as PathStep
    node.questions = []
    node.shape = undefined
    this.#setPath(node, path.slice(0, at))
    const rest = this.#grow(this.#ask(node, step), outcome, path.slice(at + 1))
    rest.questions = questions
    for (const question of questions) question.asker = rest
    rest.shape = shape
    if (shape !== undefined) shape.node = rest
  }

  #questionOf(node: Node<L>, step: ReadStep, drop: (kept: L) => void): Question<L> {
    const known = node.questions.find((question) => question.step.id === step.id)
    if (known !== undefined) return known
    const [oldest] = node.questions
    if (oldest !== undefined && node.questions.length >= MAX_QUESTIONS) {
      // Another shape keeps the place from being taken for barren meanwhile.
      for (const shape of shapesBehind(oldest)) {
        this.remove(shape)
        drop(shape.kept)
      }
    }
    return this.#ask(node, step)
  }

  #ask(node: Node<L>, step: ReadStep): Question<L> {
    const question: Question<L> = { step, branches: new Map(), asker: node }
    node.questions.push(question)
    this.#bytes += QUESTION_BYTES + bytesOfStep(step)
    return question
  }

  #forget(question: Question<L>): void {
    const { asker } = question
    asker.questions = asker.questions.filter((other) => other !== question)
    this.#bytes -= QUESTION_BYTES + bytesOfStep(question.step)
  }

  #setPath(node: Node<L>, path: readonly PathStep[]): void {
    this.#bytes += bytesOf(path) - bytesOf(node.path)
    node.path = path
  }
}

function rootNode<L>(): Node<L> {
  return { path: [], questions: [], shape: undefined, asked: undefined, outcome: 'absent' }
}

function answerOf(step: ReadStep, bag: AttributeBag, answers: Map<string, StepAnswer> | undefined): StepAnswer {
  if (answers === undefined) return step.answer(bag)
  let answer = answers.get(step.id)
  if (answer === undefined) answers.set(step.id, (answer = step.answer(bag)))
  return answer
}

function isSame({ step, outcome }: PathStep, recorded: RecordedStep): boolean {
  return outcome === recorded.outcome && step.id === recorded.step.id
}

/** What is recorded of a predicate holds no value, and is the same object for all evaluations. */
function withoutValue(recorded: RecordedStep): PathStep {
  return recorded.value === '' ? recorded : { step: recorded.step, outcome: recorded.outcome }
}

function bytesOf(path: readonly PathStep[]): number {
  let bytes = PATH_STEP_BYTES * path.length
  for (const { step } of path) bytes += bytesOfStep(step)
  return bytes
}

/** Predicates are the rules' own; other steps are made for the shape. Expressions look up keys of any length. */
function bytesOfStep({ kind, name, key }: ReadStep): number {
  return kind === 'predicate' ? 0 : OWN_STEP_BYTES + 2 * (name.length + 2 * (key?.length ?? 0))
}

function shapesBehind<L>(question: Question<L>): readonly Shape<L>[] {
  const found: Shape<L>[] = []
  const open = [question]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const node of next.branches.values()) {
      if (node.shape !== undefined) found.push(node.shape)
      open.push(...node.questions)
    }
  }
  return found
}
