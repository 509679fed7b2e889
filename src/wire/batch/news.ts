// What a node tells its callers of itself and of the mesh over a batch stream, and what they tell it of revocations.

import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { CallersBehind, Epoch, Revocation } from '../../kernel/revocation.ts'
import type { PathAmbiguity } from '../ambiguity.ts'
import type { CacheSample } from './cache-sample.ts'

/** What a caller has heard of revocations. */
export interface Heard {
  /** The caller's own number; the news that answer it have the same. */
  readonly ask: number
  /** Up to which revocation the caller has applied all. */
  readonly epoch: Epoch | undefined
  /** Those that follow the caller itself and lack what it has heard beyond that; where there are any. */
  readonly behind?: CallersBehind | undefined
  /** Now and then: what its cache of answers would find at other sizes. */
  readonly sample?: CacheSample | undefined
}

/** What callers have to know of the config that a node answers by. */
export interface NodeConfig {
  /** As shapes name it. */
  readonly id: string
  readonly vocabulary: Vocabulary
  /** Whether policy sees paths and hosts in normal form. */
  readonly normalizes: boolean
  /** What a path may hold although servers read it differently. */
  readonly allowedAmbiguities: ReadonlySet<PathAmbiguity>
  /** It says something of how requests are read that is not known here: nothing that was answered by it may be kept. */
  readonly isUnknown?: true
}

/** The nodes of a mesh, by `host:port`. */
export interface MeshMembers {
  readonly nodes: readonly string[]
  /** Those of them that go. */
  readonly leaving: readonly string[]
}

export interface News {
  /** Which `Heard` it answers; 0: something has changed. */
  readonly ask: number
  /** Up to which revocation the node has applied all. */
  readonly epoch: Epoch | undefined
  /** In their order. */
  readonly revocations: readonly Revocation[]
  /** How long ago, at most, all revocations that had been acknowledged were known there, in ms. */
  readonly outOfTouchMs: number
  /** How old an answer may be, in ms, that is given by who is out of touch. */
  readonly maxAgeMs: number
  /** How many checks a second come to the node. */
  readonly load: number
  /** Where it is not as told before. */
  readonly config?: NodeConfig | undefined
  /** Where they are not as told before. */
  readonly members?: MeshMembers | undefined
  /** It stands before nodes itself. */
  readonly isRelayed?: true | undefined
  /** How many answers the caller should keep, where it has said what it would find. */
  readonly recommendedEntries?: number | undefined
}

/** Fields of the batches that have these. */
export const CALLER = 6
export const HEARD = 7
export const NEWS = 9

/** By their number in the message. */
export const TARGET_KINDS = ['all', 'handler', 'attribute'] as const
