// What operators read of config rollouts, over the admin port of any node that follows them.

import type { Operation } from '../kernel/operation.ts'
import type { Observations } from '../rollout/observations.ts'
import type { RolloutStore } from '../rollout/rollout-store.ts'
import { rolloutView } from '../rollout/view.ts'
import { answering, type OperatorDependencies } from './operations.ts'

interface Followed {
  readonly store: Pick<RolloutStore, 'view'>
  readonly observations: Pick<Observations, 'read'>
}

/** `GET rollout`: what `intermix rollout status --json` prints. 503 while Redis is away. */
export function rolloutOperation(
  operator: Pick<OperatorDependencies, 'log' | 'limits'>,
  { store, observations }: Followed,
): Operation {
  return answering(operator, async () => ({ httpStatus: 200, body: await rolloutView(store, observations) }))
}
