// The shadow of a candidate: compiles it beside the config that answers, and has it judge the same requests.

import { ConfigTexts } from '../../config/config-texts.ts'
import type { CompileSnapshotOptions } from '../../config/compile-context.ts'
import { RuleSelector } from '../../config/rule-index.ts'
import { inSlices } from '../../config/slices.ts'
import { SnapshotCompiler } from '../../config/snapshot-compiler.ts'
import type { Clock, Meter } from '../../kernel/ports.ts'
import { formatProblem } from '../../kernel/problem.ts'
import type { Masking } from '../masking.ts'
import { DryHandlers, type DryHandlersOptions } from '../shadow/dry-handlers.ts'
import { Shadow } from '../shadow/shadow.ts'
import type { FollowedVersions } from './followed-versions.ts'
import type { FollowingProcess, Taken } from './follower.ts'
import type { ObservedChecks } from './observed-checks.ts'

export interface CandidateShadowOptions extends DryHandlersOptions {
  readonly clock: Clock
  readonly meter: Meter
  readonly compile: CompileSnapshotOptions
  readonly versions: FollowedVersions
  readonly masking: Masking
  readonly checks: ObservedChecks
}

const DONE: Taken = { ok: true }
const MAX_PROBLEMS = 5

export class CandidateShadow {
  readonly #options: CandidateShadowOptions
  readonly #handlers: DryHandlers
  #key: string | undefined

  constructor(options: CandidateShadowOptions) {
    this.#options = options
    this.#handlers = new DryHandlers(options)
  }

  /** Begins, goes on, begins anew or ends, as a follower wants it. */
  async follow(candidate: Parameters<FollowingProcess['shadow']>[0]): Promise<Taken> {
    if (candidate?.key === this.#key) return DONE
    this.#end()
    if (candidate === undefined) return DONE
    const { versions, clock, meter, compile, masking, checks } = this.#options
    const files = await versions.files(candidate.attempt.version)
    // They may be there at the next look.
    if (files === undefined) return DONE
    const loaded = await inSlices(new ConfigTexts(candidate.attempt.version).load(files), clock)
    const { snapshot, problems } = await inSlices(new SnapshotCompiler(compile).compile(loaded), clock)
    if (snapshot === undefined) {
      const told = problems.filter(({ severity }) => severity === 'error').slice(0, MAX_PROBLEMS)
      return { ok: false, reason: told.map(formatProblem).join('\n') }
    }
    const rules = await inSlices(RuleSelector.build(snapshot), clock)
    checks.shadow = new Shadow({ clock, meter, masking, candidate: rules, handlers: this.#handlers })
    this.#key = candidate.key
    return DONE
  }

  stop(): void {
    this.#end()
  }

  #end(): void {
    this.#key = undefined
    this.#options.checks.shadow?.close()
    this.#options.checks.shadow = undefined
    this.#handlers.clear()
  }
}
