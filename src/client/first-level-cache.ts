// Whole answers of nodes, kept by what they depended on. Nothing is evaluated here: a request has the answer of another one
// where its own attributes answer the same questions alike, first those by which a node chose the rules, then those that it
// asked under them.

import { LRUCache } from 'lru-cache'
import {
  AnswerCache,
  type AnswerScope,
  type FindOptions,
  type FoundAnswer,
  type Replacement,
  type Upkeep,
} from '../cache/answer-cache.ts'
import type { StoredAnswer } from '../cache/kept-answer.ts'
import type { LookupWatch } from '../cache/lookup-watch.ts'
import type { RecordedStep } from '../cache/read-collector.ts'
import type { Revocations } from '../cache/revocations.ts'
import { ShapeTree } from '../cache/shape-tree.ts'
import { sharingSteps } from '../expression/steps.ts'
import type { AnswerShape } from '../kernel/answer-shape.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { Counter } from '../kernel/ports.ts'
import type { CheckOptions } from '../kernel/services.ts'
import { Code } from '../kernel/status.ts'
import { KnownQuestions } from './known-questions.ts'
import type { NodeAnswer } from './nodes/nodes.ts'
import { toldReads } from './told-reads.ts'

/** Why an answer was not kept. */
export interface NotKept {
  /** It is not valid any more, or was for this request only. */
  readonly life: Counter
  /** The node did not say what it depended on. */
  readonly shape: Counter
  /** A question has another answer here than at the node. */
  readonly mismatch: Counter
  readonly size: Counter
  readonly reads: Counter
}

export interface FirstLevelCacheOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  readonly revocations: Pick<Revocations, 'allows'>
  /** The oldest answer that may be given now, in ms. */
  maxAgeMs(): number
  readonly onEvict: () => void
  readonly notKept: NotKept
  /** Hears of look-ups and of what they found. */
  readonly watch?: LookupWatch | undefined
}

/** Rules that a config leads requests to. */
interface Chosen {
  readonly scope: AnswerScope
  /** What was read to choose them. */
  readonly reads: readonly ReferencedAttribute[]
  readonly generated: ReadonlySet<string>
  /** As it was told, of one answer of these. */
  readonly shape: AnswerShape
}

/** How the rules of a config are chosen. */
interface Choices {
  readonly tree: ShapeTree<Map<string, Chosen>>
  /** Of the values. */
  bytes: number
}

/** Which quotas a check charges: an answer that has paid for some is not that of a check that charges others. */
export type Charging = NonNullable<CheckOptions['charging']>

/** What is asked for: by the config of the node that would be asked, for a request in the form in which it shows that to policy. */
export interface Wanted {
  readonly config: string
  readonly charging: Charging
  readonly bag: AttributeBag
}

/** An answer that was found, without what was read to choose its rules: that is not the same for all that it is found for. */
export interface FoundFirst {
  readonly answer: FoundAnswer
  readonly choosing: readonly ReferencedAttribute[]
  /** Of an answer that led to the same rules by the same choices. */
  readonly chosen: AnswerShape
}

/** How an answer that came is kept. */
export interface KeepOptions {
  /**
   * When the node was asked, on the monotonic clock in ms: the life of the answer counts from then, since nothing is known of
   * how long it was on its way.
   */
  readonly askedAt: number
  readonly now: number
  /** From when on another one is to be asked for, as a part of the life that is left. */
  readonly refreshAfter: number
  /** Whether somebody waits for it; else another one is there still. */
  readonly isAsked: boolean
}

/** Configs at one time, with each way to charge: nodes that are told of a new one follow one after the other. */
const MAX_CONFIGS = 12
/** Memory for how the rules of one config are chosen, in bytes; then it is learned anew. */
const MAX_CHOICES_BYTES = 4 * 1024 * 1024
const CHOICE_BYTES = 300

export class FirstLevelCache {
  readonly #options: FirstLevelCacheOptions
  readonly #answers: AnswerCache
  readonly #configs = new LRUCache<string, Choices>({ max: MAX_CONFIGS })
  readonly #questions = new KnownQuestions()

  constructor(options: FirstLevelCacheOptions) {
    this.#options = options
    const { notKept, maxEntries, maxBytes, revocations, onEvict, watch } = options
    const maxAgeMs = () => options.maxAgeMs()
    this.#answers = new AnswerCache({ maxEntries, maxBytes, revocations, onEvict, maxAgeMs, refused: notKept, watch })
  }

  get size(): number {
    return this.#answers.size
  }

  get bytes(): number {
    return this.#answers.bytes
  }

  /**
   * Finds an answer that may be given to a request now, and spends one use of it.
   * @param how whether it may be beyond its life, within the bound that its node has told, and whether it may hang on what was charged
   */
  find(
    { config, charging, bag }: Wanted,
    now: number,
    how: Pick<FindOptions, 'stale' | 'uncharged'> = {},
  ): FoundFirst | undefined {
    const choices = this.#configs.get(idOf(config, charging))
    if (choices === undefined) return undefined
    const probe = (byValues: Map<string, Chosen>, values: string) => {
      const chosen = byValues.get(values)
      if (chosen === undefined) return undefined
      const { scope, generated, shape, reads } = chosen
      const options = generated.size === 0 ? how : { ...how, known: new Unseen(bag, generated) }
      const answer = this.#answers.find(scope, bag, shape.handlers, now, options)
      return answer && { answer, choosing: reads, chosen: shape }
    }
    return sharingSteps(() => choices.tree.find(bag, probe))
  }

  /** Keeps an answer for the requests that it holds for. @returns it, with the one whose place it takes */
  keep(
    wanted: Wanted,
    { answer, shape, staleForMs, isPaid, usesUnbound }: NodeAnswer,
    options: KeepOptions,
  ): Replacement | undefined {
    const { notKept } = this.#options
    const { askedAt, now } = options
    const freshUntil = askedAt + answer.validForMs
    if (freshUntil <= now || answer.validUses <= 0) return refuse(notKept.life)
    if (shape === undefined) return refuse(notKept.shape)
    const choosing = this.#questions.answers(shape.choosing, wanted.bag)
    const steps = this.#questions.answers(shape.reads, wanted.bag)
    if (choosing === undefined || steps === undefined) return refuse(notKept.mismatch)
    const { scope } = this.#chosen(shape, wanted.charging, choosing)
    const { referenced: _, ...findings } = answer
    const isRefusal = answer.status.code === Code.RESOURCE_EXHAUSTED
    const upkeep: Upkeep = {
      staleUntil: freshUntil + staleForMs,
      // Whether a quota has room again is for those to ask that pay for it.
      refreshAt: isRefusal ? Number.POSITIVE_INFINITY : now + (freshUntil - now) * options.refreshAfter,
      isPaid,
      asked: shape.reads,
      // Other than what policy denies with that code, it is never stale.
      isCharged: isPaid || (isRefusal && staleForMs === 0),
    }
    const stored: StoredAnswer = {
      answer: findings,
      reads: toldReads(shape.reads),
      createdAt: askedAt - answer.ageMs,
      freshUntil,
      epoch: shape.epoch,
      parts: [],
      isUseBound: isPaid || usesUnbound !== true,
      usesLeft: answer.validUses,
      upkeep,
    }
    return this.#answers.store(scope, steps, stored, options.isAsked)
  }

  #chosen(shape: AnswerShape, charging: Charging, choosing: readonly RecordedStep[]): Chosen {
    const scope = idOf(shape.scope, charging)
    const config = idOf(shape.config, charging)
    let choices = this.#configs.get(config)
    if (choices === undefined || choices.bytes + choices.tree.bytes > MAX_CHOICES_BYTES) {
      choices = { tree: new ShapeTree(), bytes: 0 }
      this.#configs.set(config, choices)
    }
    const current = choices
    let values = ''
    for (const { value } of choosing) values += value
    const forget = (gone: Map<string, Chosen>) => {
      for (const text of gone.keys()) current.bytes -= CHOICE_BYTES + 2 * text.length
    }
    const byValues = current.tree.add(choosing, () => new Map<string, Chosen>(), forget).kept
    const known = byValues.get(values)
    if (known?.scope.digest === scope) return known
    if (known === undefined) current.bytes += CHOICE_BYTES + 2 * values.length
    const reads = toldReads(shape.choosing)
    const chosen = { scope: this.#answers.scope(scope), reads, generated: new Set(shape.generated), shape }
    byValues.set(values, chosen)
    return chosen
  }
}

/** Answers of checks that charge different quotas are told apart, whatever they hang on. */
function idOf(name: string, charging: Charging): string {
  return charging === 'all' ? name : `${charging} ${name}`
}

function refuse(counter: Counter): undefined {
  counter.add()
}

/** A bag in which what the node found by itself is unknown: it may be any value that was revoked. */
class Unseen implements AttributeBag {
  readonly #bag: AttributeBag
  readonly #names: ReadonlySet<string>

  constructor(bag: AttributeBag, names: ReadonlySet<string>) {
    this.#bag = bag
    this.#names = names
  }

  get(name: string) {
    return this.#bag.get(name)
  }

  names(): Iterable<string> {
    return this.#bag.names()
  }

  unknown(name: string): IntermixError | undefined {
    return this.#names.has(name) ? UNSEEN : this.#bag.unknown?.(name)
  }
}

const UNSEEN = new IntermixError('INTERNAL', 'only the node knows it')
