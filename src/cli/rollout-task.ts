// What the actions of `intermix rollout` work with.

import { IntermixError } from '../kernel/errors.ts'
import type { Observations } from '../rollout/observations.ts'
import type { RolloutStore } from '../rollout/rollout-store.ts'
import type { VersionStore } from '../rollout/version-store.ts'
import type { CommandIo } from './io.ts'
import type { RolloutValues } from './rollout-options.ts'

export interface RolloutTask {
  readonly store: RolloutStore
  readonly versions: VersionStore
  readonly observations: Observations
  readonly operands: readonly string[]
  readonly values: RolloutValues
  readonly io: CommandIo
  /** Who gave the command. */
  readonly by: string
}

/**
 * The id that an operand names.
 * @throws IntermixError NOT_FOUND where it names none.
 */
export async function versionNamed({ store, versions }: RolloutTask, word: string): Promise<string> {
  if (word !== 'stable' && word !== 'candidate' && word !== 'previous') return await versions.resolve(word)
  const { stable, rollout, previous } = await store.state()
  const id = { stable, candidate: rollout?.candidate, previous: previous[0] }[word]
  if (id === undefined) throw new IntermixError('NOT_FOUND', `there is no ${word} version`)
  return id
}
