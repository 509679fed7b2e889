// What tests of config rollout share: versions, states and observations that are made in a line.

import { NO_COUNTERS, type Observation } from '../../src/rollout/observation.ts'
import { type Pace, USUAL_PACE } from '../../src/rollout/stages.ts'
import { type ConfigFile, versionId } from '../../src/rollout/version.ts'

/** A version whose content is a name. */
export function filesOf(name: string): readonly ConfigFile[] {
  return [{ path: 'config.yaml', text: `# ${name}\n` }]
}

export function idOf(name: string): string {
  return versionId(filesOf(name))
}

/** Stages that end as soon as their guards let them. */
export const NO_WAIT: Pace = { ...USUAL_PACE, shadowMs: 0, stageMs: 0, bakeMs: 0 }

/** A healthy node that has seen nothing yet. */
export function saying(more: Partial<Observation> = {}): Observation {
  return {
    start: '',
    kind: 'node',
    version: undefined,
    stage: '',
    rev: 0,
    isHealthy: true,
    isLeaving: false,
    counters: NO_COUNTERS,
    shadow: undefined,
    ...more,
  }
}
