// What a node tells over the stream.

import { Bytes, EMPTY } from '../bytes/bytes'
import { Answer } from '../cache/kept-answer'
import { Question } from '../shape/question'
import { Revocation } from './revocations'

/** How evaluating led to an answer. */
export class Shape {
  config: Bytes = EMPTY
  scope: Bytes = EMPTY
  handlers: Array<Bytes> = []
  generated: Array<Bytes> = []
  choosing: Array<Question> = []
  choosingOutcomes: Array<i32> = []
  reads: Array<Question> = []
  readOutcomes: Array<i32> = []
}

export const enum Tier {
  LOCAL = 0,
  MESH = 1,
  BACKEND = 2,
  STALE = 3,
}

export class ToldAnswer {
  id: u32 = 0
  readonly answer: Answer = new Answer()
  /** The node did not judge the request. */
  hasFailed: bool = false
  tier: i32 = 0
  ageMs: f64 = 0
  validForMs: f64 = 0
  validUses: i32 = 0
  shape: Shape | null = null
  generation: Bytes = EMPTY
  sequence: f64 = 0
  staleForMs: f64 = 0
  isPaid: bool = false
  /** Nobody meant to bound how often it is given. */
  usesUnbound: bool = false
  /** Requests for which these rules were chosen may pass where nobody judges them. */
  failsOpen: bool = false
}

export class News {
  ask: u32 = 0
  generation: Bytes | null = null
  sequence: f64 = 0
  readonly revocations: Array<Revocation> = []
  outOfTouchMs: f64 = 0
  maxAgeMs: f64 = 0
  /** The config's id, where it is another one than before. */
  config: Bytes | null = null
  /** Under that config nothing is kept: it reads requests in an unknown way. */
  isConfigUnknown: bool = false
}

/** Who takes what was read. */
export abstract class Sink {
  abstract answered(told: ToldAnswer): void
  abstract news(news: News): void
  abstract leaving(): void
}
