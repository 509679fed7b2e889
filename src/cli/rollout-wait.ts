// `intermix rollout wait`: for pipelines, until a rollout has ended one way or the other.

import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { type Outcome, phaseOf, type RolloutState } from '../rollout/state.ts'
import { shortId } from '../rollout/version.ts'
import { EXIT } from './io.ts'
import { type RolloutTask, versionNamed } from './rollout-task.ts'

/** Nothing was decided in time. */
const UNDECIDED = 4
const LOOK_MS = 1_000

/** Waits for the rollout that is under way, or has ended last, or for that of one version. Redis may be away meanwhile. */
export async function wait(task: RolloutTask): Promise<number> {
  const { store, values, io, operands } = task
  const [word] = operands
  const asked = word === undefined ? undefined : await versionNamed(task, word)
  const end = io.clock.monotonic() + values.timeoutMs
  let candidate = asked
  let told = ''
  for (;;) {
    const state = await latest(store)
    candidate ??= state?.rollout?.candidate ?? state?.ended[0]?.candidate
    if (state !== undefined && candidate === undefined)
      throw new IntermixError('NOT_FOUND', 'no rollout is under way, and none has ended')
    const outcome = state && candidate && outcomeOf(state, candidate)
    if (outcome) return conclude(task, outcome)
    const stands = state === undefined ? 'Redis is away' : standing(state)
    if (stands !== told && !values.json) io.err(stands)
    told = stands
    const left = end - io.clock.monotonic()
    if (left <= 0) return undecided(task, candidate, values.timeoutMs)
    await pause(io.clock, Math.min(LOOK_MS, left))
  }
}

async function latest(store: RolloutTask['store']): Promise<RolloutState | undefined> {
  try {
    return await store.state()
  } catch (error) {
    if (IntermixError.from(error).code === 'REDIS_UNAVAILABLE') return undefined
    throw error
  }
}

/** @returns `undefined` while it is under way. */
function outcomeOf(
  state: RolloutState,
  candidate: string,
): Pick<Outcome, 'candidate' | 'outcome' | 'reason'> | undefined {
  if (state.rollout?.candidate === candidate) return undefined
  if (state.stable === candidate) return { candidate, outcome: 'stable', reason: 'it is the stable version' }
  const ended = state.ended.find((one) => one.candidate === candidate)
  if (ended !== undefined) return ended
  throw new IntermixError('NOT_FOUND', `${shortId(candidate)} is neither under way nor among the last ones`)
}

function standing(state: RolloutState): string {
  const { rollout } = state
  return rollout === undefined
    ? phaseOf(state)
    : `${shortId(rollout.candidate)}: ${phaseOf(state)} ${rollout.reason ?? ''}`.trimEnd()
}

function conclude(
  { io, values }: RolloutTask,
  { candidate, outcome, reason }: Pick<Outcome, 'candidate' | 'outcome' | 'reason'>,
) {
  io.out(
    values.json
      ? JSON.stringify({ version: candidate, outcome, reason })
      : `${shortId(candidate)} ${outcome}: ${reason}`,
  )
  return outcome === 'stable' ? EXIT.ok : EXIT.refused
}

function undecided({ io, values }: RolloutTask, candidate: string | undefined, ms: number): number {
  const version = candidate ?? ''
  const reason = `nothing was decided within ${ms / 1_000} s`
  if (values.json) io.out(JSON.stringify({ version, outcome: 'undecided', reason }))
  else io.err(`intermix rollout: ${shortId(version)}: ${reason}`)
  return UNDECIDED
}
