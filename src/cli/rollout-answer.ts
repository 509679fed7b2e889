// What a command says that has changed a rollout, or was refused.

import type { Applied } from '../rollout/rollout-store.ts'
import { phaseOf } from '../rollout/state.ts'
import { EXIT } from './io.ts'
import type { RolloutTask } from './rollout-task.ts'

interface Words {
  /** What is said when it is done. */
  readonly done: string
  /** What is added where the version is in quarantine. */
  readonly hint?: string
  readonly version?: string
}

/** @returns the exit code: what is so already counts as done, for pipelines that run twice. */
export function answer({ io, values }: RolloutTask, applied: Applied, { done, hint = '', version }: Words): number {
  const result = applied.kind === 'refused' ? applied.refused : applied.kind
  const message =
    applied.kind === 'done'
      ? done
      : applied.kind === 'refused'
        ? `${applied.message}${applied.refused === 'quarantined' ? hint : ''}`
        : 'others change the rollout all the time: try again'
  const isFine = result === 'done' || result === 'unchanged'
  if (values.json) {
    const phase = applied.kind === 'done' ? { phase: phaseOf(applied.state), rev: applied.state.rev } : {}
    io.out(JSON.stringify({ result, message, ...(version === undefined ? {} : { version }), ...phase }))
  } else if (isFine) io.out(message)
  else io.err(`intermix rollout: ${message}`)
  return isFine ? EXIT.ok : EXIT.refused
}
