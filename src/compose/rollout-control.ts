// What leads rollouts in a node, should it hold the lease: the controller, with pre-flights that try a version by the same
// code, the same adapters and the same settings as this node's.

import { readFile } from 'node:fs/promises'
import { getHeapStatistics } from 'node:v8'
import { IntermixError } from '../kernel/errors.ts'
import { formatProblem } from '../kernel/problem.ts'
import { RolloutAnnouncer } from '../rollout/announcer.ts'
import { type PreflightResult, RolloutController } from '../rollout/controller.ts'
import { Preflight } from '../rollout/preflight/preflight.ts'
import type { PreflightOutcome } from '../rollout/preflight/preflight-report.ts'
import type { RecordedBags } from '../rollout/recorded-bags.ts'
import { type ConfigVersion, shortId } from '../rollout/version.ts'
import { webhook } from '../rollout/webhook.ts'
import type { Settings } from '../settings/settings.ts'
import type { Following } from './following.ts'
import type { ProcessPorts } from './running-process.ts'

/** The sources run as they are, and what the compiler makes of them too. */
const PROGRAM = new URL(`../../workers/preflight${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
/** A version lies in a node beside the one before it: each may take half of what the process may have. */
const SHARE_OF_HEAP = 1 / 2
const MIB = 2 ** 20
const MAX_PROBLEMS = 20

/** The controller of a process that follows rollouts. */
export function createRolloutControl(
  { store, observations, versions, recorded }: Following,
  settings: Settings,
  { clock, log, meter }: ProcessPorts,
): RolloutController {
  const { defaultNamespace, maxEvaluationSteps, requireRules, processes, nodeId: node } = settings
  const preflight = new Preflight({
    program: PROGRAM,
    clock,
    compile: {
      adapters: settings.adapters.join(','),
      adaptersFrom: process.cwd(),
      defaultNamespace,
      maxEvaluationSteps,
      requireRules,
      processes,
    },
    limits: { memoryMb: Math.floor((getHeapStatistics().heap_size_limit * SHARE_OF_HEAP) / MIB) },
  })
  return new RolloutController({
    store,
    observations,
    versions,
    node,
    clock,
    log,
    meter,
    preflight: (version) => tried(preflight, version, recorded, log),
  })
}

/** What tells a webhook of changes; `undefined` where there is none. */
export async function createAnnouncer(
  { store }: Following,
  { rolloutWebhook: url, rolloutWebhookSecret, nodeId: node }: Settings,
  { clock, random, log, meter }: ProcessPorts,
): Promise<RolloutAnnouncer | undefined> {
  if (url === undefined) return undefined
  const secret = rolloutWebhookSecret === undefined ? undefined : await secretIn(rolloutWebhookSecret)
  const announce = webhook({ url, secret, fetch, now: () => clock.now() })
  return new RolloutAnnouncer({ store, node, announce, clock, random, log, meter })
}

async function secretIn(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new IntermixError('INVALID_SETTING', `--rollout-webhook-secret: ${file} cannot be read`, { cause })
  }
}

async function tried(
  preflight: Preflight,
  { meta: { id }, files }: ConfigVersion,
  recorded: RecordedBags,
  log: ProcessPorts['log'],
): Promise<PreflightResult> {
  const outcome = await preflight.examine(shortId(id), files, recorded.list())
  log.info({ version: shortId(id), ...outcome }, 'the pre-flight of a config version is over')
  return resultOf(outcome)
}

function resultOf(outcome: PreflightOutcome): PreflightResult {
  if (!outcome.ok) {
    const verdict = outcome.reason === 'unavailable' ? 'unknown' : 'fail'
    const problems = outcome.problems.slice(0, MAX_PROBLEMS).map(formatProblem)
    return { verdict, reason: [outcome.message, ...problems].join('\n') }
  }
  const { rules, recorded, madeUp, compileMs, memoryBytes } = outcome.figures
  const tries = `${recorded} recorded and ${madeUp} made-up requests`
  const costs = `${Math.round(compileMs)} ms and ${Math.ceil(memoryBytes / MIB)} MiB to compile`
  return { verdict: 'pass', reason: `${rules} rules, ${tries}, ${costs}` }
}
