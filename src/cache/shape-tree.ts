// The shapes of one scope's answers as a decision tree. An evaluation is deterministic: what it reads next depends only
// on what it has read so far. So the reads of all answers form a tree, and walking it with a bag leads to the few
// shapes (nearly always one) under which that bag's answer can be stored: nothing is scanned, and an answer is found
// only under the shape of its own evaluation. A path is as long as its evaluation made reads, thousands where many rules
// are evaluated, so nothing here recurses along one.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { RecordedStep } from './read-collector.ts'
import type { ReadStep, StepAnswer } from './read-step.ts'

interface Branch {
  /** The questions that were seen next. More than one only where the next question depends on a value. */
  next: Question[]
  shape: Shape | undefined
}

interface Question {
  readonly step: ReadStep
  readonly branches: Map<StepAnswer['outcome'], Branch>
}

/** A step of a path, without the value that one request gave. */
interface PathStep {
  readonly step: ReadStep
  readonly outcome: StepAnswer['outcome']
}

/** A complete path through the tree. */
interface Shape {
  readonly id: number
  readonly path: readonly PathStep[]
  /** What it takes of memory, in steps of up to half a kilobyte. */
  readonly weight: number
  lastUsed: number
}

/** Characters of a key that count as a step: expressions look keys up that a request names, of any length. */
const WEIGHED_CHARACTERS = 256

/** A question that is still to be tried, and the values that led to it. */
interface Fork {
  readonly question: Question
  readonly values: string
}

let shapeIds = 0

/** Bounded by shapes and by what all of them take together; the least recently used shapes make room. */
export class ShapeTree {
  readonly #root: Branch = { next: [], shape: undefined }
  readonly #shapes = new Set<Shape>()
  readonly #capacity: number
  readonly #maxSteps: number
  #steps = 0
  #tick = 0

  constructor(capacity: number, maxSteps = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity
    this.#maxSteps = maxSteps
  }

  get size(): number {
    return this.#shapes.size
  }

  /** The steps of all shapes together, long keys weighing as several: what they take of memory. */
  get steps(): number {
    return this.#steps
  }

  /**
   * Looks for an answer: calls `probe` with the key under each shape that the bag fits until one gives a value. Asks at
   * most as many questions as the tree has steps.
   */
  find<T>(bag: AttributeBag, probe: (key: string) => T | undefined): T | undefined {
    const forks: Fork[] = []
    // Where paths part, the same question may come on many of them: a whole map is made a text of once.
    let answers: Map<string, StepAnswer> | undefined
    let branch: Branch | undefined = this.#root
    let values = ''
    for (;;) {
      if (branch?.shape !== undefined) {
        const found = probe(`${branch.shape.id}|${values}`)
        if (found !== undefined) {
          branch.shape.lastUsed = ++this.#tick
          return found
        }
      }
      if (branch !== undefined) {
        for (let i = branch.next.length - 1; i > 0; i--) forks.push({ question: branch.next[i] as Question, values })
      }
      let question: Question | undefined = branch?.next[0]
      if (question === undefined) {
        const fork = forks.pop()
        if (fork === undefined) return undefined
        question = fork.question
        values = fork.values
      }
      const { step } = question
      const answer = answers?.get(step.id) ?? step.answer(bag)
      if (forks.length > 0 || answers !== undefined) (answers ??= new Map()).set(step.id, answer)
      branch = question.branches.get(answer.outcome)
      values += answer.value
    }
  }

  /** Forgets all shapes. */
  clear(): void {
    this.#root.next = []
    this.#root.shape = undefined
    this.#shapes.clear()
    this.#steps = 0
  }

  /** The key for an answer whose evaluation made these reads; adds the shape when it is new. */
  keyFor(steps: readonly RecordedStep[]): string {
    let branch = this.#root
    let values = ''
    for (const recorded of steps) {
      let question = branch.next.find((candidate) => candidate.step.id === recorded.step.id)
      if (question === undefined) {
        question = { step: recorded.step, branches: new Map() }
        branch.next.push(question)
      }
      let following = question.branches.get(recorded.outcome)
      if (following === undefined) {
        following = { next: [], shape: undefined }
        question.branches.set(recorded.outcome, following)
      }
      branch = following
      values += recorded.value
    }
    const known = branch.shape
    const shape = known ?? { id: ++shapeIds, path: steps.map(withoutValue), weight: weightOf(steps), lastUsed: 0 }
    shape.lastUsed = ++this.#tick
    branch.shape = shape
    if (known === undefined) this.#add(shape)
    return `${shape.id}|${values}`
  }

  #add(shape: Shape): void {
    this.#shapes.add(shape)
    this.#steps += shape.weight
    while (this.#shapes.size > this.#capacity || this.#steps > this.#maxSteps) if (!this.#evict(shape)) return
  }

  /** Makes room; false when there is nothing but the shape to be kept. */
  #evict(kept: Shape): boolean {
    let oldest: Shape | undefined
    for (const shape of this.#shapes) {
      if (shape !== kept && (oldest === undefined || shape.lastUsed < oldest.lastUsed)) oldest = shape
    }
    if (oldest === undefined) return false
    this.#shapes.delete(oldest)
    this.#steps -= oldest.weight
    prune(this.#root, oldest.path)
    return true
  }
}

function withoutValue({ step, outcome }: RecordedStep): PathStep {
  return { step, outcome }
}

function weightOf(steps: readonly RecordedStep[]): number {
  let weight = steps.length
  for (const { step } of steps) weight += Math.floor((step.key?.length ?? 0) / WEIGHED_CHARACTERS)
  return weight
}

/** Removes the shape at the end of a path and every branch that leads nowhere afterwards. */
function prune(root: Branch, steps: readonly PathStep[]): void {
  const path: { readonly branch: Branch; readonly question: Question; readonly outcome: StepAnswer['outcome'] }[] = []
  let end = root
  for (const { step, outcome } of steps) {
    const question = end.next.find((candidate) => candidate.step.id === step.id)
    const following = question?.branches.get(outcome)
    if (question === undefined || following === undefined) return
    path.push({ branch: end, question, outcome })
    end = following
  }
  end.shape = undefined
  for (let last = path.pop(); last !== undefined && isBarren(end); last = path.pop()) {
    const { branch, question, outcome } = last
    question.branches.delete(outcome)
    if (question.branches.size === 0) branch.next = branch.next.filter((candidate) => candidate !== question)
    end = branch
  }
}

function isBarren(branch: Branch): boolean {
  return branch.shape === undefined && branch.next.length === 0
}
