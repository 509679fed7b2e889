// The flags and actions of `intermix rollout`.

import { USUAL_PACE } from '../rollout/stages.ts'
import type { OptionTable, OptionValues } from '../settings/options.ts'
import { QUEUE_REDIS_SETTINGS } from '../settings/redis-settings.ts'
import { VALIDATION_OPTIONS } from './validate-folder.ts'

const HOUR_MS = 3_600_000

const time = (ms: number, description: string) =>
  ({ kind: 'duration', default: ms, min: 1, env: false, group: 'Pace of publish', description }) as const
const count = (number: number, description: string) =>
  ({ kind: 'integer', default: number, min: 0, env: false, group: 'Pace of publish', description }) as const

const { ratelimitConfig: _, ...VALIDATION } = VALIDATION_OPTIONS

export const ROLLOUT_OPTIONS = {
  message: {
    kind: 'text',
    default: '',
    env: false,
    description: 'publish: what changes, for history.',
    pattern: { regex: /^[^]{0,1000}$/, allowed: 'up to 1,000 characters' },
  },
  expect: {
    kind: 'texts',
    default: [],
    env: false,
    placeholder: '"RULE: +deny"',
    description: 'publish: a change of verdicts that is meant; may be given several times.',
  },
  firstNamespaces: {
    kind: 'list',
    default: [],
    env: false,
    placeholder: 'NAME,…',
    description: 'publish: namespaces whose requests the one node answers by it before those of all others.',
  },
  again: {
    kind: 'boolean',
    default: false,
    env: false,
    description: 'publish: try a version again that was found bad before.',
  },
  by: {
    kind: 'text',
    env: false,
    placeholder: 'NAME',
    description: 'Who does it, for history.',
    defaultText: 'user@host of this command',
    pattern: { regex: /^[^\p{Cc}]{1,128}$/u, allowed: '1 to 128 characters' },
  },
  reason: {
    kind: 'text',
    env: false,
    description: 'pause, abort, rollback: why, for history.',
    defaultText: 'by whom',
  },
  now: {
    kind: 'boolean',
    default: false,
    env: false,
    description: 'promote: at 100 %, make it stable at once, without the rest of the bake.',
  },
  limit: {
    kind: 'integer',
    default: 20,
    min: 1,
    max: 1_000,
    env: false,
    description: 'history: most entries of each kind.',
  },
  timeoutMs: {
    kind: 'duration',
    default: HOUR_MS,
    min: 1,
    env: false,
    description: 'wait: how long.',
  },
  json: { kind: 'boolean', default: false, env: false, description: 'One JSON object.' },
  shadowTimeMs: time(USUAL_PACE.shadowMs, 'Least time of comparing both versions on live requests.'),
  stageTimeMs: time(USUAL_PACE.stageMs, 'Least time at one node and at each share.'),
  bakeTimeMs: time(USUAL_PACE.bakeMs, 'Least time at 100 %.'),
  maxWaitMs: time(USUAL_PACE.maxWaitMs, 'After so long without a conclusion a stage is paused.'),
  minPairs: count(USUAL_PACE.pairs, 'Requests that both versions must have judged.'),
  minChecks: count(USUAL_PACE.checks, 'Checks that the candidate must have answered in each stage.'),
  ...VALIDATION,
  ...QUEUE_REDIS_SETTINGS,
} as const satisfies OptionTable

export type RolloutValues = OptionValues<typeof ROLLOUT_OPTIONS>

export const ROLLOUT_ACTIONS = {
  publish: { usage: 'DIR', summary: 'Validate a config folder, store it as a version and roll it out.' },
  status: { usage: '', summary: 'Show how far a rollout has come, and what it waits for.' },
  history: { usage: '', summary: 'List versions, and who did what.' },
  diff: { usage: 'A B', summary: 'Show what differs between two versions.' },
  pause: { usage: '', summary: 'Stop at the stage that it is at; everybody keeps what runs.' },
  resume: { usage: '', summary: 'Go on: the stage begins again.' },
  promote: { usage: '', summary: 'Leave out the shares: after the one node, all get it.' },
  abort: { usage: '', summary: 'Back to the stable version; the candidate may be published again.' },
  rollback: {
    usage: '[VERSION]',
    summary: 'Back to the stable version, or to one before it; what is left counts as bad.',
  },
  repair: {
    usage: 'VERSION',
    summary: 'Say which version is stable, where the state in Redis is damaged.',
  },
  wait: { usage: '[VERSION]', summary: 'Wait until a rollout has ended.' },
} as const

export type RolloutAction = keyof typeof ROLLOUT_ACTIONS
