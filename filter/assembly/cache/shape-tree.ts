// Ways of questions as a tree. Evaluation is deterministic: what it asks next depends on what it was answered so far. So walking the
// tree with a request leads to the few places, nearly always one, under which its answer can lie.

import { Outcome, Question } from '../shape/question'

/** Where a way ends. */
export class Place {
  constructor(readonly id: u32) {}
}

export class TreeNode {
  place: Place | null = null
  /** The questions that were seen next; more than one only where the next one depends on a value. */
  readonly questions: Array<Question> = []
  /** What comes after each, by outcome. */
  readonly after: Array<StaticArray<TreeNode | null>> = []
}

/** What a node takes, roughly, in bytes. */
const NODE_BYTES = 200
/** Questions at one place. */
const MAX_QUESTIONS = 16

let placeId: u32 = 0

export class ShapeTree {
  readonly root: TreeNode = new TreeNode()
  /** Its nodes, and as many more as its questions take in their place. */
  size: i32 = 1

  /** The place to which questions, answered in this way, lead; `null` where there is no room for it. */
  place(questions: Array<Question>, outcomes: Array<i32>): Place | null {
    let node = this.root
    for (let i = 0; i < questions.length; i++) {
      const question = questions[i]
      let at = node.questions.indexOf(question)
      if (at < 0) {
        if (node.questions.length >= MAX_QUESTIONS) return null
        at = node.questions.push(question) - 1
        this.size += question.bytes / NODE_BYTES
        node.after.push(new StaticArray<TreeNode | null>(Outcome.COUNT))
      }
      const branches = node.after[at]
      let next = branches[outcomes[i]]
      if (next === null) {
        next = new TreeNode()
        branches[outcomes[i]] = next
        this.size++
      }
      node = next
    }
    let place = node.place
    if (place === null) {
      place = new Place(++placeId)
      node.place = place
    }
    return place
  }
}
