// What processes say in Redis. Who falls silent is forgotten after a while; a vote stays for a day, or until a version is
// published.

import { parseJsonObject } from '../kernel/parse-json.ts'
import type { RedisLink } from '../redis/connection.ts'
import { type RolloutKeys, rolloutKeys } from './keys.ts'
import { type Observation, OBSERVATION_BOUNDS, type SeenObservation, type Vote } from './observation.ts'
import { readObserved } from './read-observed.ts'
import { OBSERVATIONS, OBSERVE, VOTE } from './scripts.ts'
import type { VersionStoreOptions } from './version-store.ts'

export interface Observed {
  readonly observations: readonly SeenObservation[]
  /** The last words of processes that have died since, as they were started again under the same name. */
  readonly died: readonly SeenObservation[]
  readonly votes: readonly Vote[]
}

/** What a process said counts for that long; what it said within `FRESH_MS` is what it does now. */
const KEEP_MS = 120_000
const MAX_PROCESSES = 5_000
const VOTE_MS = 24 * 3_600_000
const MAX_REASON = 500
const TIMEOUT_MS = 1_000

/** Methods reject with REDIS_UNAVAILABLE while Redis is away. */
export class Observations {
  readonly #link: RedisLink
  readonly #keys: RolloutKeys

  constructor({ link, prefix }: VersionStoreOptions) {
    this.#link = link
    this.#keys = rolloutKeys(prefix)
  }

  /** A process tells how it is; its last word replaces the one before. Examples are left out where it would be too much. */
  async observe(node: string, observation: Observation): Promise<void> {
    const { observations, seen } = this.#keys
    const args = [node, textOf(observation), KEEP_MS, MAX_PROCESSES, observation.start]
    await this.#link.run((client) => OBSERVE.run(client, [observations, seen], args), TIMEOUT_MS)
  }

  /** A process tells that it holds a version for bad. */
  async vote({ node, version, rollout, reason }: Vote): Promise<void> {
    const text = JSON.stringify({ version, rollout, reason: reason.slice(0, MAX_REASON) })
    await this.#link.run(
      (client) => VOTE.run(client, [this.#keys.votes], [node, text, VOTE_MS, MAX_PROCESSES]),
      TIMEOUT_MS,
    )
  }

  /** What all processes said lately. */
  async read(): Promise<Observed> {
    const { observations: said, seen, votes } = this.#keys
    const reply = await this.#link.run((client) => OBSERVATIONS.run(client, [said, seen, votes], [KEEP_MS]), TIMEOUT_MS)
    const read = await readObserved(reply.said, () => new Promise((resolve) => setImmediate(resolve)))
    return { ...read, votes: votesOf(reply.votes) }
  }
}

function votesOf(told: readonly string[]): readonly Vote[] {
  const votes: Vote[] = []
  for (let at = 0; at + 1 < told.length; at += 2) {
    const vote = readVote(told[at] ?? '', told[at + 1] ?? '')
    if (vote !== undefined) votes.push(vote)
  }
  return votes
}

/** Reads a vote of this or another release; `undefined` where it is of no use. */
function readVote(node: string, text: string): Vote | undefined {
  const json = parseJsonObject(text)
  if (json === undefined) return undefined
  const { version, rollout, reason } = json
  if (typeof version !== 'string') return undefined
  const known = typeof rollout === 'string' ? { rollout } : {}
  return { node, version, ...known, reason: typeof reason === 'string' ? reason : '' }
}

/**
 * Examples are worth less than figures: they go first where all of it is too long. What the script looks for comes at the
 * beginning.
 */
function textOf({ start, isLeaving, version, ...others }: Observation): string {
  const observation = { start, isLeaving, version, ...others }
  const { shadow } = observation
  const text = JSON.stringify(observation)
  if (shadow === undefined || text.length <= OBSERVATION_BOUNDS.bytes) return text
  const flips = shadow.flips.slice(0, OBSERVATION_BOUNDS.flips).map((flip) => ({ ...flip, examples: [] }))
  return JSON.stringify({ ...observation, shadow: { ...shadow, flips } })
}
