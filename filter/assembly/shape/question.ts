// What evaluating at a node asked of a request, and how a request here answers it.

import { Bytes, isBytes } from '../bytes/bytes'
import {
  Attribute,
  attributeOf,
  Kind,
  kindOf,
  readAttribute,
  readHeader,
  readQuery,
  textAt,
  textSize,
} from '../request/attributes'
import { Request } from '../request/request'
import { Said, Test } from './test'
import { AUTHORITY, FORWARDED_ATTRIBUTES, HOST } from '../request/header-names'

/** `intermix.v1.Question.Kind`. */
export const enum Asks {
  ATTRIBUTE = 0,
  KEY = 1,
  MAP = 2,
  PREDICATE = 3,
}

/** How a question is answered, by the numbers of the protocol. */
export const enum Outcome {
  ABSENT = 0,
  NO_MAP = 1,
  PRESENT = 2,
  TRUE = 3,
  FALSE = 4,
  COUNT = 5,
}

/** The value that belongs to an answer, where it has one: PRESENT. */
export let answerAt: usize = 0
export let answerSize: i32 = 0

export class Question {
  readonly kind: i32
  readonly attribute: i32
  readonly key: Bytes
  readonly test: Test | null
  /** Every request has the same answer: it need not be asked. */
  readonly isFixed: bool
  /** Nothing here can answer it. */
  readonly isUnread: bool
  /** Which question of the protocol this one stands for: what cannot be tested here is compared by its value. */
  readonly isOwn: bool

  /**
   * @param isSet whether the operator has set the attribute
   * @param bytes what it takes of memory, roughly
   */
  constructor(
    kind: i32,
    name: Bytes,
    key: Bytes,
    test: Test | null,
    isSet: bool,
    readonly bytes: i32,
  ) {
    const attribute = isSet ? Attribute.FIXED : attributeOf(name)
    const isOfHeader = attribute === Attribute.HEADERS && (kind === Asks.KEY || kind === Asks.PREDICATE)
    const valueKind = isOfHeader ? Kind.TEXT : kindOf(attribute)
    const isTestable =
      test !== null && kind === Asks.PREDICATE && attribute !== Attribute.QUERY && test.isKnown(valueKind)
    this.attribute = attribute
    this.key = isBytes(key, HOST) && attribute === Attribute.HEADERS ? AUTHORITY : key
    this.test = isTestable ? test : null
    this.isOwn = kind === Asks.PREDICATE && !isTestable
    this.kind = this.isOwn ? Asks.ATTRIBUTE : kind
    this.isFixed =
      attribute === Attribute.FIXED ||
      (attribute === Attribute.HEADERS && (kind === Asks.ATTRIBUTE || isBytes(key, FORWARDED_ATTRIBUTES)))
    this.isUnread = attribute === Attribute.UNREAD || (attribute === Attribute.HEADERS && kind === Asks.MAP)
  }

  /** Answers for a request; the value of what is present lies at `answerAt`. */
  answer(request: Request): i32 {
    const attribute = this.attribute
    let isThere: bool
    let kind: i32 = Kind.TEXT
    if (attribute === Attribute.HEADERS) isThere = readHeader(request, this.key)
    else if (attribute === Attribute.QUERY) isThere = readQuery(request)
    else {
      isThere = readAttribute(attribute, request)
      kind = kindOf(attribute)
    }
    if (!isThere) return attribute === Attribute.QUERY && this.kind === Asks.KEY ? Outcome.NO_MAP : Outcome.ABSENT
    const test = this.test
    if (test === null) {
      answerAt = textAt
      answerSize = textSize
      return Outcome.PRESENT
    }
    const said = test.ask(textAt, textSize, kind)
    return said === Said.NOTHING ? Outcome.ABSENT : said === Said.TRUE ? Outcome.TRUE : Outcome.FALSE
  }

  /**
   * Whether an answer here is what the node said, where the two can be compared: the query stands for its parameters, and a value
   * for what could not be tested.
   */
  agrees(outcome: i32, told: i32): bool {
    return this.isOwn || this.attribute === Attribute.QUERY || outcome === told
  }
}
