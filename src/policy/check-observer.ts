// Who watches checks without a say in them: rollouts of config, which compare how nodes fare by one version and by another.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { SettledPart } from './combine.ts'
import type { PolicyRequest } from './policy-request.ts'

/** Called in the path of each check: what it does must be quick, and must not throw. */
export interface CheckObserver {
  /** A check has an answer. @param tookMs from when it came */
  answered(request: PolicyRequest, answer: Answer, tookMs: number): void
  /** Something of a check was unknown, which fail policies resolved; its answer follows. */
  undecided(request: PolicyRequest, parts: readonly SettledPart[]): void
  /** A check has no answer. @param bag what the request brought */
  failed(error: unknown, bag: AttributeBag): void
}
