// `intermix rollout repair`: a way out where the state in Redis cannot be read.

import { PRESENT_MS } from '../rollout/view.ts'
import { shortId } from '../rollout/version.ts'
import { answer } from './rollout-answer.ts'
import { type RolloutTask, versionNamed } from './rollout-task.ts'

/**
 * Makes a version the stable one, where the state is damaged. Everybody gets it at once, so that it has to be one that some
 * process runs now, if any process is there.
 */
export async function repair(task: RolloutTask): Promise<number> {
  const { store, observations, operands, by } = task
  const version = await versionNamed(task, operands[0] ?? '')
  const { observations: said } = await observations.read()
  const running = new Set(
    said.flatMap(({ ageMs, version: runs }) => (ageMs <= PRESENT_MS && runs !== undefined ? [runs] : [])),
  )
  if (running.size > 0 && !running.has(version)) {
    const those = [...running].map(shortId).join(', ')
    const message = `${shortId(version)} is run by no process, and all would get it at once: name one of ${those}; publish another one afterwards`
    return answer(task, { kind: 'refused', refused: 'not-now', message }, { done: '', version })
  }
  const applied = await store.repair(version, by)
  return answer(task, applied, { done: applied.kind === 'done' ? applied.entry : '', version })
}
