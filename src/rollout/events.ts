// What can happen to a rollout. Times are those of Redis, in ms: no clock of a process counts.

import type { Pace, Stage } from './stages.ts'
import type { Baseline } from './state.ts'

interface Happening {
  /** When, on the clock of Redis. */
  readonly at: number
  /** Who: an operator, or the node that holds the lease. */
  readonly by: string
}

/** A version is to become the stable one. */
export interface Publish extends Happening {
  readonly kind: 'publish'
  readonly version: string
  /** A new name for this attempt. */
  readonly id: string
  readonly pace: Pace
  readonly expectations: readonly string[]
  /** Namespaces to begin with. */
  readonly namespaces?: readonly string[]
  /** Why this content is not to be tried again; `undefined`: nothing speaks against it. */
  readonly quarantined: string | undefined
  /** An operator wants it all the same. */
  readonly again: boolean
}

/** What a controller does. */
export type ControllerEvent = Happening &
  (
    | { readonly kind: 'begin-preflight' }
    /** `first`: the one node of the next stages; `isServed`: some process answers by another version than this one. */
    | { readonly kind: 'pass-preflight'; readonly first: string | undefined; readonly isServed: boolean }
    | { readonly kind: 'fail-preflight'; readonly reason: string }
    /** The guards of a stage let it pass. `threshold`: for the next stage, where it goes by shares. */
    | {
        readonly kind: 'advance'
        readonly from: Stage
        readonly threshold: number
        readonly seen: Baseline
        readonly reason: string
      }
    /** The one node has left in good order: the stage begins again with another one. */
    | { readonly kind: 'choose-first'; readonly first: string }
    /**
     * All nodes of the cohort of a share have left in good order: the stage begins again with those that are there. `threshold`:
     * so that they are its share; `first`: the node that is among them for certain.
     */
    | { readonly kind: 'choose-cohort'; readonly from: Stage; readonly first: string; readonly threshold: number }
    /** The time that a stage has lasted cannot be told any more: it begins again. */
    | { readonly kind: 'begin-again'; readonly reason: string }
    | { readonly kind: 'fail'; readonly reason: string }
    /** No process runs the candidate any more, as far as can be seen. */
    | { readonly kind: 'finish-rollback' }
  )

/** What operators do; a controller pauses, too. */
export type OperatorEvent = Happening &
  (
    | { readonly kind: 'pause'; readonly reason: string }
    | { readonly kind: 'resume' }
    /** `now`: what bakes is stable at once. */
    | { readonly kind: 'promote'; readonly now: boolean }
    | { readonly kind: 'abort'; readonly reason: string }
    /** `to`: a version that was stable before; without it, the stable one of a rollout, or else the one before it. */
    | { readonly kind: 'rollback'; readonly to: string | undefined; readonly reason: string }
  )

export type RolloutEvent = Publish | ControllerEvent | OperatorEvent

/** Why an event changes nothing. */
export interface Refusal {
  /** `unchanged`: it is so already. */
  readonly refused: 'unchanged' | 'quarantined' | 'not-now' | 'too-early' | 'unknown-version'
  readonly message: string
}

/** What follows from an event. */
export interface Change<State> {
  readonly state: State
  /** One line for the audit log. */
  readonly entry: string
  /** Content that is not tried again by itself from now on, with the reason, and content that may be tried again. */
  readonly quarantine: ReadonlyMap<string, string>
  readonly release: string | undefined
  /** The stage must have lasted that long: checked again where the change is written, on the clock of Redis. */
  readonly leastMs: number
}

/** Whether an event was refused. */
export function isRefusal(value: Change<unknown> | Refusal): value is Refusal {
  return 'refused' in value
}
