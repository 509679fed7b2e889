// `intermix rollout`: publishes configs as versions, shows how far a rollout has come, and leads it by hand.

import { hostname, userInfo } from 'node:os'
import { meshPrefix } from '../telemetry/queue-names.ts'
import { Observations } from '../rollout/observations.ts'
import { RolloutStore } from '../rollout/rollout-store.ts'
import { MAX_EXPECTATIONS, readExpectation } from '../rollout/expectations.ts'
import { VersionStore } from '../rollout/version-store.ts'
import { showArgument } from '../settings/options.ts'
import { pickRedis, signInProblems } from '../settings/redis-settings.ts'
import { defineTool, pickAction } from './command.ts'
import { overQueueLink } from './queue-link.ts'
import { operate } from './rollout-operate.ts'
import { ROLLOUT_ACTIONS, ROLLOUT_OPTIONS, type RolloutAction, type RolloutValues } from './rollout-options.ts'
import { publish } from './rollout-publish.ts'
import { repair } from './rollout-repair.ts'
import { diff, history, status } from './rollout-show.ts'
import type { RolloutTask } from './rollout-task.ts'
import { wait } from './rollout-wait.ts'

const WORK: Readonly<Record<RolloutAction, (task: RolloutTask) => Promise<number>>> = {
  publish,
  status,
  history,
  diff,
  wait,
  pause: operate('pause'),
  resume: operate('resume'),
  promote: operate('promote'),
  abort: operate('abort'),
  rollback: operate('rollback'),
  repair,
}

/** How many operands an action takes, at least and at most. */
const OPERANDS: Readonly<Partial<Record<RolloutAction, readonly [number, number]>>> = {
  publish: [1, 1],
  diff: [2, 2],
  rollback: [0, 1],
  repair: [1, 1],
  wait: [0, 1],
}

/** Flags that some actions take and others must not seem to. */
const FLAGS = [
  ['--message', 'message', ['publish']],
  ['--expect', 'expect', ['publish']],
  ['--first-namespaces', 'firstNamespaces', ['publish']],
  ['--again', 'again', ['publish']],
  ['--shadow-time', 'shadowTimeMs', ['publish']],
  ['--stage-time', 'stageTimeMs', ['publish']],
  ['--bake-time', 'bakeTimeMs', ['publish']],
  ['--max-wait', 'maxWaitMs', ['publish']],
  ['--min-pairs', 'minPairs', ['publish']],
  ['--min-checks', 'minChecks', ['publish']],
  ['--reason', 'reason', ['pause', 'abort', 'rollback']],
  ['--now', 'now', ['promote']],
  ['--timeout', 'timeoutMs', ['wait']],
  ['--limit', 'limit', ['history']],
] as const

/** `intermix rollout`. */
export const rollout = defineTool({
  usage: 'ACTION [flags]',
  options: ROLLOUT_OPTIONS,
  operands: true,
  actions: ROLLOUT_ACTIONS,
  notes: [
    'VERSION, A and B are the first digits of a version, as history shows them, or stable, candidate or previous.',
    'Nodes and workers follow with --config and the URL of the same Redis. A version is validated, tried beside a node, compared on live requests, and then run by one node, 5, 25, 50 and 100 % of the processes; it goes back by itself when a guard fails. docs/rollout.md has the guards with their numbers.',
    'RULE: +deny says that more denials by this rule are meant, -deny fewer; +unknown and -unknown that more or less cannot be evaluated. RULE may be *. RULE: +deny <= 5% bounds it to a share of the requests.',
    'Exits with 0 when done, or when it is so already; wait: when the version is stable. With 1 when it is refused: a config with errors, a version in quarantine, nothing under way; wait: when the version did not become stable. With 2 for wrong flags, 3 when Redis cannot be reached or the state in it cannot be read, and wait with 4 when nothing was decided in time.',
  ],
  examples: [
    'intermix rollout publish config --message "No admin pages" --expect "deny-admin: +deny"',
    'intermix rollout wait --timeout 45m',
    'intermix rollout diff stable candidate',
    'intermix rollout rollback --reason "orders fail since noon"',
  ],
  read({ values, given, positionals: [word, ...operands] }, problems) {
    const action = pickAction(ROLLOUT_ACTIONS, word, problems)
    if (action !== undefined) problems.push(...misuse(action, operands, given))
    problems.push(...expectationProblems(values))
    problems.push(...signInProblems(values, (key) => given.get(key as keyof typeof ROLLOUT_OPTIONS) === 'flag'))
    const access = pickRedis(values).queueRedis
    if (access === undefined) problems.push('--redis: give the URL of the Redis that nodes and workers follow')
    return action === undefined || access === undefined ? undefined : { action, operands, values, access }
  },
  async run({ action, operands, values, access }, io) {
    return await overQueueLink(access, io, async (link) => {
      const options = { link, prefix: meshPrefix(values.redisPrefix, values.mesh) }
      const parts = {
        versions: new VersionStore(options),
        store: new RolloutStore(options),
        observations: new Observations(options),
      }
      return await WORK[action]({ ...parts, operands, values, io, by: values.by ?? whoAmI() })
    })
  },
})

function misuse(
  action: RolloutAction,
  operands: readonly string[],
  given: ReadonlyMap<keyof typeof ROLLOUT_OPTIONS, 'flag' | 'variable'>,
): readonly string[] {
  const [least, most] = OPERANDS[action] ?? [0, 0]
  const usage = `${action} ${ROLLOUT_ACTIONS[action].usage}`.trimEnd()
  const found = operands.slice(most).map((text) => `${showArgument(text)}: one too many; write ${usage}`)
  if (operands.length < least) found.push(`${action}: write ${usage}`)
  for (const [flag, key, actions] of FLAGS) {
    if (given.has(key) && !actions.some((name) => name === action))
      found.push(`${flag}: goes with ${actions.join(', ')}, not with ${action}`)
  }
  return found
}

function expectationProblems({ expect }: RolloutValues): readonly string[] {
  const wrong = expect.map(readExpectation).filter((one) => typeof one === 'string')
  const many =
    expect.length > MAX_EXPECTATIONS ? [`--expect: ${expect.length} of them; ${MAX_EXPECTATIONS} at most`] : []
  return [...wrong.map((text) => `--expect: ${text}`), ...many]
}

function whoAmI(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return hostname()
  }
}
