// What evaluations came to, found again by what they read: a record that answers as an earlier one need not be evaluated.
// Evaluation is deterministic, so what it reads next follows from what it has read so far, and the evaluations of one kind
// form a tree: a stretch of questions with their answers, and where two evaluations part, a branch by answer. The reads
// are those that verdicts are cached by (`ReadLog`), absences and keys of maps included.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { type Answer, type Question, QuestionLog, Questions } from './question.ts'

/** Questions that every evaluation which comes here answered alike, and what comes then. */
interface Node<T> {
  questions: readonly Question[]
  answers: readonly Answer[]
  /** Where evaluations part: the next question, and what follows each answer. Without it, here is a result. */
  branch: Branch<T> | undefined
  result: Result<T> | undefined
}

interface Branch<T> {
  readonly question: Question
  readonly to: Map<Answer, Node<T>>
}

interface Result<T> {
  readonly value: T
  /** All attributes that were read. */
  readonly names: ReadonlySet<string>
}

/** Evaluations of one kind may ask differently where the answers were the same, such as predicates that fail: few do. */
const MAX_TREES = 8
/** Keys of maps can be computed from what was read. */
const MAX_QUESTIONS = 10_000
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024
const BYTES_PER_READ = 24
const BYTES_PER_RESULT = 1024
/** Where most results are used but once, so many times as many evaluations go by before it is tried again. */
const REST = 8

/** Bounded: once it is full it forgets everything, and where that was of little use it rests for a while. */
export class EvaluationMemo<T> {
  readonly #maxBytes: number
  #questions = new Questions()
  #trees: Node<T>[] = []
  #bytes = 0
  #learned = 0
  #hits = 0
  #resting = 0
  #latest: { readonly bag: AttributeBag; readonly result: Result<T> } | undefined

  constructor(maxBytes = DEFAULT_MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** What it holds, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  /** The result of an earlier evaluation that this bag answers alike. */
  find(bag: AttributeBag): T | undefined {
    const known = this.#lookUp(bag)
    if (known === undefined) return undefined
    this.#hits++
    this.#latest = { bag, result: known }
    return known.value
  }

  /** Evaluates, and remembers the result where `keeps` says that it may stand for others. */
  evaluate<R>(bag: AttributeBag, evaluation: (log?: ReadLog) => R, keeps: (value: R | T) => value is T): R {
    if (this.#resting > 0) {
      this.#resting--
      return evaluation()
    }
    if (this.#bytes > this.#maxBytes || this.#questions.size > MAX_QUESTIONS) this.#forget()
    const log = new QuestionLog(bag, this.#questions)
    const value = evaluation(log)
    if (log.isComplete && keeps(value)) this.#latest = { bag, result: this.#learn(log.answers, value) }
    return value
  }

  #lookUp(bag: AttributeBag): Result<T> | undefined {
    const latest = this.#latest
    if (latest !== undefined) {
      if (latest.bag === bag) return latest.result
      const changes = bag.changesSince?.(latest.bag)
      if (changes !== undefined && !meet(changes, latest.result.names)) return latest.result
    }
    for (const tree of this.#trees) {
      const result = findIn(tree, bag)
      if (result !== undefined) return result
    }
    return undefined
  }

  #learn(reads: ReadonlyMap<Question, Answer>, value: T): Result<T> {
    const questions = [...reads.keys()]
    const answers = [...reads.values()]
    const result = { value, names: new Set(questions.map(({ name }) => name)) }
    const leaf = (from: number): Node<T> => {
      this.#bytes += BYTES_PER_RESULT + BYTES_PER_READ * (questions.length - from) + textBytes(answers, from)
      this.#learned++
      return { questions: questions.slice(from), answers: answers.slice(from), branch: undefined, result }
    }
    if (this.#trees.some((tree) => grow(tree, questions, answers, leaf))) return result
    if (this.#trees.length < MAX_TREES) this.#trees.push(leaf(0))
    return result
  }

  #forget(): void {
    if (this.#hits < this.#learned) this.#resting = REST * this.#learned
    this.#questions = new Questions()
    this.#trees = []
    this.#bytes = 0
    this.#learned = 0
    this.#hits = 0
    this.#latest = undefined
  }
}

function meet(changes: Iterable<string>, names: ReadonlySet<string>): boolean {
  for (const name of changes) if (names.has(name)) return true
  return false
}

function findIn<T>(tree: Node<T>, bag: AttributeBag): Result<T> | undefined {
  let node: Node<T> | undefined = tree
  while (node !== undefined) {
    const { questions, answers, branch }: Node<T> = node
    for (let at = 0; at < questions.length; at++) {
      if ((questions[at] as Question).ask(bag) !== answers[at]) return undefined
    }
    if (branch === undefined) return node.result
    node = branch.to.get(branch.question.ask(bag))
  }
  return undefined
}

/** Adds a leaf where the evaluation leaves those that the tree has; `false` where it asked differently before that. */
function grow<T>(
  tree: Node<T>,
  questions: readonly Question[],
  answers: readonly Answer[],
  leaf: (from: number) => Node<T>,
): boolean {
  let node = tree
  let at = 0
  for (;;) {
    for (let i = 0; i < node.questions.length; i++, at++) {
      if (node.questions[i] !== questions[at]) return false
      if (node.answers[i] === answers[at]) continue
      split(node, i).set(answers[at] as Answer, leaf(at + 1))
      return true
    }
    // An evaluation that ends where others go on, or the same once more, has nothing that could be found.
    if (node.branch === undefined || node.branch.question !== questions[at]) return false
    const next = node.branch.to.get(answers[at] as Answer)
    if (next === undefined) {
      node.branch.to.set(answers[at] as Answer, leaf(at + 1))
      return true
    }
    node = next
    at++
  }
}

/** Makes a branch of the question at a place: what the node was from there on follows the answer that it had. */
function split<T>(node: Node<T>, at: number): Map<Answer, Node<T>> {
  const { questions, answers, branch, result } = node
  const rest = { questions: questions.slice(at + 1), answers: answers.slice(at + 1), branch, result }
  const to = new Map([[answers[at] as Answer, rest]])
  node.questions = questions.slice(0, at)
  node.answers = answers.slice(0, at)
  node.branch = { question: questions[at] as Question, to }
  node.result = undefined
  return to
}

function textBytes(answers: readonly Answer[], from: number): number {
  let bytes = 0
  for (let at = from; at < answers.length; at++) {
    const answer = answers[at]
    if (typeof answer === 'string') bytes += 2 * answer.length
  }
  return bytes
}
