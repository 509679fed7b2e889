// Answers of nodes, kept by what they depended on: first the questions by which a config chose the rules, then those that were asked
// under these rules. Nothing is allocated where an answer is found.

import { Bytes, isBytes } from '../bytes/bytes'
import { Request } from '../request/request'
import { answerAt, answerSize, Outcome, Question } from '../shape/question'
import { Chosen, Scope } from './chosen'
import { Entry } from './entry'
import { EntryTable } from './entry-table'
import { KeptAnswer } from './kept-answer'
import { Place, ShapeTree, TreeNode } from './shape-tree'
import { Values } from './values'

/** Whether a kept answer may be given to a request now. */
export abstract class Judge {
  abstract allows(kept: KeptAnswer, chosen: Chosen, request: Request): bool
}

/** Configs at one time: nodes that are told of a new one follow one after the other. */
const MAX_CONFIGS = 4
/** Ways to choose rules; beyond, they are learned anew, as where they take more than this part of what answers may. */
const MAX_CHOICES = 4_096
const SHARE_OF_CHOICES = 8
const MAX_SCOPES = 1_024
/** Ways of questions take about 200 bytes a step; beyond that all begins anew. */
const MAX_NODES = 32_768
/** Of an entry, beside its values and its answer. */
const ENTRY_BYTES = 160
/** A way has so many questions at most. */
const MAX_DEPTH = 512
/** Questions that a request is asked, on all ways together. */
const MAX_STEPS = 8_192

class Config {
  readonly tree: ShapeTree = new ShapeTree()
  readonly choices: EntryTable = new EntryTable(MAX_CHOICES)
  size: i32 = 0
  /** Of its choices. */
  bytes: i32 = 0

  constructor(readonly id: Bytes) {}
}

export class AnswerCache {
  private readonly answers: EntryTable
  /** Those of all answers, in which the hand goes round; and where it has room. */
  private readonly ring: StaticArray<Entry | null>
  private readonly free: Array<i32> = []
  private hand: i32 = 0
  private configs: Array<Config> = []
  private scopes: Array<Scope> = []
  private readonly choosingValues: Values = new Values()
  private readonly values: Values = new Values()
  /** Nodes of all trees. */
  private nodes: i32 = 0
  private judge: Judge | null = null
  private request: Request | null = null
  private chosen: Chosen | null = null
  /** What is looked for are the rules only. */
  private seeksRules: bool = false
  private steps: i32 = 0
  size: i32 = 0
  bytes: i32 = 0
  evicted: i32 = 0

  constructor(
    private readonly maxEntries: i32,
    private readonly maxBytes: i32,
  ) {
    this.answers = new EntryTable(maxEntries)
    this.ring = new StaticArray<Entry | null>(maxEntries)
    for (let i = maxEntries - 1; i >= 0; i--) this.free.push(i)
  }

  /** An answer that may be given to the request under a config. */
  find(config: Bytes, request: Request, judge: Judge): KeptAnswer | null {
    this.judge = judge
    const found = this.search(config, request, false)
    return found === null ? null : found.answer
  }

  /** The rules to which a config leads a request, as far as answers under them were kept. */
  rulesFor(config: Bytes, request: Request): Chosen | null {
    const found = this.search(config, request, true)
    return found === null ? null : found.chosen
  }

  private search(config: Bytes, request: Request, seeksRules: bool): Entry | null {
    const choices = this.config(config)
    if (choices === null || !request.isComparable) return null
    this.seeksRules = seeksRules
    this.request = request
    this.steps = 0
    this.choosingValues.begin(request)
    return this.walk(choices.tree.root, choices.choices, this.choosingValues, 0)
  }

  private config(id: Bytes): Config | null {
    for (let i = 0; i < this.configs.length; i++) if (isBytes(this.configs[i].id, id)) return this.configs[i]
    return null
  }

  /** Follows the questions from a node on. At the end of those that choose rules it goes on with the tree of these rules. */
  private walk(from: TreeNode, table: EntryTable, values: Values, depth: i32): Entry | null {
    let node: TreeNode | null = from
    while (node !== null && depth < MAX_DEPTH && ++this.steps <= MAX_STEPS) {
      const place = node.place
      if (place !== null && !values.isFull) {
        const entry = table.find(place, values)
        const found: Entry | null = entry === null ? null : this.arrive(entry, depth)
        if (found !== null) return found
      }
      const count = node.questions.length
      if (count === 0) return null
      // Further questions are tried one after the other; mostly there are none.
      for (let i = 1; i < count; i++) {
        const size = values.size
        const isFull = values.isFull
        const next = this.step(node, i, values)
        const found: Entry | null = next === null ? null : this.walk(next, table, values, depth + 1)
        if (found !== null) return found
        values.size = size
        values.isFull = isFull
      }
      node = this.step(node, 0, values)
      depth++
    }
    return null
  }

  private step(node: TreeNode, question: i32, values: Values): TreeNode | null {
    const outcome = node.questions[question].answer(this.request as Request)
    if (outcome === Outcome.PRESENT) values.add(answerAt, answerSize)
    return node.after[question][outcome]
  }

  private arrive(entry: Entry, depth: i32): Entry | null {
    const chosen = entry.chosen
    if (chosen !== null) {
      if (this.seeksRules) return entry
      // Rules have the same answers whichever config led to them.
      this.chosen = chosen
      this.values.begin(this.request as Request)
      return this.walk(chosen.scope.tree.root, this.answers, this.values, depth)
    }
    const kept = entry.answer
    if (kept === null || !(this.judge as Judge).allows(kept, this.chosen as Chosen, this.request as Request))
      return null
    entry.isUsed = true
    return entry
  }

  /**
   * Keeps an answer for the requests that it holds for. Questions are those of which requests have different answers; outcomes are
   * those of this request.
   * @returns whether there was room
   */
  keep(
    config: Bytes,
    scope: Bytes,
    handlers: Array<Bytes>,
    generated: Array<Bytes>,
    failsOpen: bool,
    choosing: Array<Question>,
    reads: Array<Question>,
    request: Request,
    kept: KeptAnswer,
  ): bool {
    if (choosing.length + reads.length > MAX_DEPTH) return false
    if (this.nodes > MAX_NODES) this.clear()
    const known = this.scope(scope)
    if (!this.choose(config, choosing, request, new Chosen(known, handlers, generated, failsOpen))) return false
    const place = this.placeOf(known.tree, reads, request, this.values)
    if (place === null) return false
    const bytes = ENTRY_BYTES + this.values.size + kept.answer.bytes
    if (bytes > this.maxBytes / 8) return false
    const before = this.answers.find(place, this.values)
    if (before !== null) this.drop(before)
    while (this.size > 0 && (this.size >= this.maxEntries || this.bytes + bytes > this.maxBytes)) this.evict()
    const entry = this.answers.add(place, this.values)
    entry.answer = kept
    this.put(entry)
    this.size++
    this.bytes += bytes
    return true
  }

  private choose(config: Bytes, choosing: Array<Question>, request: Request, chosen: Chosen): bool {
    let choices = this.config(config)
    const maxBytes = this.maxBytes / SHARE_OF_CHOICES
    if (choices === null || choices.size >= MAX_CHOICES || choices.bytes > maxBytes) {
      if (choices !== null) this.configs.splice(this.configs.indexOf(choices), 1)
      if (this.configs.length >= MAX_CONFIGS) this.configs.shift()
      choices = new Config(config)
      this.configs.push(choices)
    }
    const place = this.placeOf(choices.tree, choosing, request, this.choosingValues)
    if (place === null) return false
    let entry = choices.choices.find(place, this.choosingValues)
    if (entry === null) {
      entry = choices.choices.add(place, this.choosingValues)
      choices.size++
      choices.bytes += ENTRY_BYTES + entry.values.length
    }
    const before = entry.chosen
    choices.bytes += chosen.bytes - (before === null ? 0 : before.bytes)
    entry.chosen = chosen
    return true
  }

  /** Where a request stands in a tree; its values are gathered beside. `null` where there is no room for it. */
  private placeOf(tree: ShapeTree, questions: Array<Question>, request: Request, values: Values): Place | null {
    const outcomes = new Array<i32>(questions.length)
    values.begin(request)
    for (let i = 0; i < questions.length; i++) {
      const outcome = questions[i].answer(request)
      if (outcome === Outcome.PRESENT) values.add(answerAt, answerSize)
      outcomes[i] = outcome
    }
    if (values.isFull) return null
    const before = tree.size
    const place = tree.place(questions, outcomes)
    this.nodes += tree.size - before
    return place
  }

  private scope(name: Bytes): Scope {
    for (let i = 0; i < this.scopes.length; i++) if (isBytes(this.scopes[i].name, name)) return this.scopes[i]
    if (this.scopes.length >= MAX_SCOPES) this.clear()
    const scope = new Scope(name)
    this.scopes.push(scope)
    return scope
  }

  /** Forgets all. */
  clear(): void {
    for (let i = 0; i < this.ring.length; i++) {
      const entry = this.ring[i]
      if (entry !== null) this.drop(entry)
    }
    this.configs = []
    this.scopes = []
    this.nodes = 0
  }

  private put(entry: Entry): void {
    entry.ring = this.free.pop()
    this.ring[entry.ring] = entry
  }

  private evict(): void {
    for (let tries = 0; tries <= 2 * this.ring.length; tries++) {
      const entry = this.ring[this.hand]
      if (entry !== null && !entry.isUsed) {
        this.drop(entry)
        this.evicted++
        return
      }
      if (entry !== null) entry.isUsed = false
      this.hand = this.hand + 1 === this.ring.length ? 0 : this.hand + 1
    }
  }

  private drop(entry: Entry): void {
    this.answers.remove(entry)
    this.ring[entry.ring] = null
    this.free.push(entry.ring)
    const kept = entry.answer
    this.size--
    this.bytes -= ENTRY_BYTES + entry.values.length + (kept === null ? 0 : kept.answer.bytes)
  }
}
