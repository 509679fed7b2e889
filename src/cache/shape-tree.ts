// The shapes of one scope's answers as a decision tree. An evaluation is deterministic: what it reads next depends only
// on what it has read so far. So the reads of all answers form a tree, and walking it with a bag leads to the few
// shapes (nearly always one) under which that bag's answer can be stored: nothing is scanned, and an answer is found
// only under the shape of its own evaluation.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadStep, RecordedStep, StepAnswer } from './read-collector.ts'

interface Branch {
  /** The questions that were seen next. More than one only where the next question depends on a value. */
  next: Question[]
  shape: Shape | undefined
}

interface Question {
  readonly step: ReadStep
  readonly branches: Map<StepAnswer['outcome'], Branch>
}

/** A complete path through the tree. */
interface Shape {
  readonly id: number
  readonly steps: readonly RecordedStep[]
  lastUsed: number
}

let shapeIds = 0

/** A bounded set of shapes; the least recently used one makes room. */
export class ShapeTree {
  readonly #root: Branch = { next: [], shape: undefined }
  readonly #shapes = new Set<Shape>()
  readonly #capacity: number
  #tick = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#shapes.size
  }

  /** Looks for an answer: calls `probe` with the key under each shape that the bag fits until one gives a value. */
  find<T>(bag: AttributeBag, probe: (key: string) => T | undefined): T | undefined {
    return this.#walk(this.#root, bag, '', probe)
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
    const shape = known ?? { id: ++shapeIds, steps, lastUsed: 0 }
    shape.lastUsed = ++this.#tick
    branch.shape = shape
    if (known === undefined) this.#add(shape)
    return `${shape.id}|${values}`
  }

  #walk<T>(branch: Branch, bag: AttributeBag, values: string, probe: (key: string) => T | undefined): T | undefined {
    if (branch.shape !== undefined) {
      const found = probe(`${branch.shape.id}|${values}`)
      if (found !== undefined) {
        branch.shape.lastUsed = ++this.#tick
        return found
      }
    }
    for (const question of branch.next) {
      const answer = question.step.answer(bag)
      const following = question.branches.get(answer.outcome)
      if (following === undefined) continue
      const found = this.#walk(following, bag, values + answer.value, probe)
      if (found !== undefined) return found
    }
    return undefined
  }

  #add(shape: Shape): void {
    this.#shapes.add(shape)
    if (this.#shapes.size > this.#capacity) this.#evict(shape)
  }

  #evict(kept: Shape): void {
    let oldest: Shape | undefined
    for (const shape of this.#shapes) {
      if (shape !== kept && (oldest === undefined || shape.lastUsed < oldest.lastUsed)) oldest = shape
    }
    if (oldest === undefined) return
    this.#shapes.delete(oldest)
    prune(this.#root, oldest.steps, 0)
  }
}

/** Removes the shape at the end of a path and every branch that leads nowhere afterwards; true when `branch` is empty. */
function prune(branch: Branch, steps: readonly RecordedStep[], depth: number): boolean {
  const recorded = steps[depth]
  if (recorded === undefined) {
    branch.shape = undefined
  } else {
    const question = branch.next.find((candidate) => candidate.step.id === recorded.step.id)
    const following = question?.branches.get(recorded.outcome)
    if (question !== undefined && following !== undefined && prune(following, steps, depth + 1)) {
      question.branches.delete(recorded.outcome)
      if (question.branches.size === 0) branch.next = branch.next.filter((candidate) => candidate !== question)
    }
  }
  return branch.shape === undefined && branch.next.length === 0
}
