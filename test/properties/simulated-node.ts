// A node of the simulation: the real engine, caches and handlers, on simulated time.

import { Revocations } from '../../src/cache/revocations.ts'
import type { VerdictCache } from '../../src/cache/verdict-cache.ts'
import type { VerdictOutcome, VerdictRequest } from '../../src/cache/verdict-request.ts'
import type { CacheOptions } from '../../src/compose/check-caches.ts'
import { type Checks, createChecks } from '../../src/compose/checks.ts'
import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import type { CheckEngine } from '../../src/policy/check-engine.ts'
import type { CheckObserver } from '../../src/policy/check-observer.ts'
import { createGuard } from '../../src/policy/guard.ts'
import { HandlerTables, type PolicyState } from '../../src/policy/handler-table.ts'
import type { PolicyRequests } from '../../src/policy/policy-request.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { QuotaService } from '../../src/kernel/services.ts'
import type { RuleLimits } from '../../src/policy/rule-limits.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import type { Limits } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

/** The shared Redis server's clock is right: simulated time from a day of 2026 on. */
const SERVER_START = Date.UTC(2026, 0, 15, 12)

export interface SimulatedNode {
  readonly engine: CheckEngine
  readonly quotas: QuotaService
  readonly requests: PolicyRequests
  readonly verdicts: VerdictCache
  readonly ruleLimits: RuleLimits
  readonly revocations: Revocations
  readonly meter: ReadableMeter
  /** Why there was no verdict of a handler, the last few times. */
  readonly unknowns: readonly string[]
  /** What was logged at debug level. */
  readonly details: string[]
  state(): PolicyState
  /** What the caches hold. */
  view(): ReturnType<Checks['view']>
  /** Takes a config into use, as the node does: handlers first. One on trial has the config before it behind it, and may be tried by some namespaces alone. */
  apply(snapshot: Snapshot, isTrial?: boolean, namespaces?: ReadonlySet<string>): Promise<void>
  stop(): Promise<void>
}

export interface SimulatedNodeOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly link: RedisLink | undefined
  readonly prefix: string
  readonly nodeId: string
  /** Whether whole answers are kept; they are unless told. */
  readonly answers?: boolean
  /** Whether verdicts are kept; they are unless told. */
  readonly local?: boolean
  /** The limits of a handler, by its name; in memory unless told. */
  readonly limits?: (handler: string) => Limits
  /** Bounds of what is kept; small unless told. */
  readonly bounds?: Pick<CacheOptions, 'maxEntries' | 'maxBytes'>
  readonly observer?: CheckObserver
}

export async function createSimulatedNode(options: SimulatedNodeOptions, first: Snapshot): Promise<SimulatedNode> {
  const { clock, random, link, prefix, nodeId } = options
  const meter = new ReadableMeter()
  const log = new KeptLog()
  const revocations = new Revocations()
  const { limits = () => new MemoryLimits({ clock }) } = options
  const tables = new HandlerTables({
    clock,
    log,
    environment: ({ name: handlerName }) => ({
      environment: { ...createTestEnvironment({ clock, limits: limits(handlerName) }), handlerName },
      dispose: () => undefined,
    }),
    guard: (handler) => createGuard({ handler, clock, random, meter, log }),
  })
  let state: PolicyState | undefined
  const current = (): PolicyState => {
    if (state === undefined) throw new Error('no config yet')
    return state
  }
  let behind: PolicyState | undefined
  let namespaces: ReadonlySet<string> | undefined
  const apply = async (snapshot: Snapshot, isTrial = false, tried?: ReadonlySet<string>) => {
    namespaces = tried
    const handlers = await tables.build(snapshot.handlers.values())
    behind?.handlers.retire()
    behind = isTrial ? state : undefined
    if (!isTrial) state?.handlers.retire()
    state = { snapshot, rules: atOnce(RuleSelector.build(snapshot)), handlers }
  }
  await apply(first)
  const isTuned = options.bounds === undefined && /[13579]$/.test(nodeId)
  const checks = createChecks({
    clock,
    random,
    log,
    meter,
    mesh: link,
    prefix,
    nodeId,
    cache: {
      answers: options.answers !== false,
      verdicts: options.local !== false,
      ...(options.bounds ?? { maxEntries: 1_000, maxBytes: 4_000_000 }),
      // Some nodes divide a memory by themselves, which changes nothing of what they answer.
      tuning: isTuned ? { memoryBytes: 400_000, secondsPerUnit: 600 } : undefined,
      refreshesPerSecond: 5,
    },
    revocations,
    maxAgeMs: () => Number.POSITIVE_INFINITY,
    state: () => state,
    trial: () => behind && { behind, namespaces },
    observer: options.observer,
    sharedNow: () => Math.floor(clock.monotonic()) + SERVER_START,
  })
  checks.start()
  return {
    meter,
    unknowns: watch(checks.verdicts),
    details: log.details,
    engine: checks.engine,
    quotas: checks.quotas,
    requests: checks.requests,
    verdicts: checks.verdicts,
    ruleLimits: checks.ruleLimits,
    revocations,
    state: current,
    view: () => checks.view(),
    apply,
    async stop() {
      checks.stop()
      await tables.stop()
    },
  }
}

/** Remembers, from now on, why there was no verdict. */
function watch(verdicts: VerdictCache): readonly string[] {
  const unknowns: string[] = []
  const get = verdicts.get.bind(verdicts)
  const note = ({ error }: VerdictOutcome) => {
    if (error !== undefined && unknowns.push(error.message) > 3) unknowns.shift()
  }
  verdicts.get = (request: VerdictRequest) => {
    const outcome = get(request)
    if (outcome instanceof Promise) void outcome.then(note)
    else note(outcome)
    return outcome
  }
  return unknowns
}
