// `intermix rollout pause | resume | promote | abort | rollback`: what operators do to a rollout.

import type { OperatorEvent } from '../rollout/events.ts'
import { answer } from './rollout-answer.ts'
import { type RolloutTask, versionNamed } from './rollout-task.ts'

/** The work of one action. */
export function operate(kind: OperatorEvent['kind']): (task: RolloutTask) => Promise<number> {
  return async (task) => {
    const { store, values, by, operands } = task
    const reason = values.reason === undefined ? `by ${by}` : `${values.reason} (by ${by})`
    const [word] = operands
    const to = word === undefined ? undefined : await versionNamed(task, word)
    const applied = await store.operate({ ...eventOf(kind, reason, to, values.now), by })
    return answer(task, applied, { done: applied.kind === 'done' ? applied.entry : '' })
  }
}

function eventOf(kind: OperatorEvent['kind'], reason: string, to: string | undefined, now: boolean) {
  if (kind === 'resume') return { kind }
  if (kind === 'promote') return { kind, now }
  return kind === 'rollback' ? { kind, reason, to } : { kind, reason }
}
