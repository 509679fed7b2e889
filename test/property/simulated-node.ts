// A node of the simulation: the real engine, caches and handlers, on simulated time.

import { AnswerCache } from '../../src/cache/answer-cache.ts'
import { createRefusals } from '../../src/cache/cache-metrics.ts'
import { KeyCardinality } from '../../src/cache/key-cardinality.ts'
import { LocalTier } from '../../src/cache/local-tier.ts'
import { MeshTier } from '../../src/cache/mesh-tier.ts'
import { Protection } from '../../src/cache/protection.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import { VerdictCache } from '../../src/cache/verdict-cache.ts'
import type { VerdictOutcome, VerdictRequest } from '../../src/cache/verdict-request.ts'
import { RuleSelector } from '../../src/config/rule-index.ts'
import { atOnce } from '../../src/config/slices.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import { CheckEngine } from '../../src/policy/check-engine.ts'
import { CheckLog } from '../../src/policy/check-log.ts'
import { createCheckMetrics } from '../../src/policy/check-metrics.ts'
import { createGuard } from '../../src/policy/guard.ts'
import { HandlerTables } from '../../src/policy/handler-table.ts'
import type { PolicyState } from '../../src/policy/policy-state.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

/** The shared Redis server's clock is right: simulated time from a day of 2026 on. */
const SERVER_START = Date.UTC(2026, 0, 15, 12)

export interface SimulatedNode {
  readonly engine: CheckEngine
  readonly revocations: Revocations
  readonly meter: ReadableMeter
  /** Why there was no verdict of a handler, the last few times. */
  readonly unknowns: readonly string[]
  /** What was logged at debug level. */
  readonly details: string[]
  state(): PolicyState
  /** Takes a config into use, as the node does: handlers first. */
  apply(snapshot: Snapshot): Promise<void>
  stop(): Promise<void>
}

export interface SimulatedNodeOptions {
  readonly clock: FakeClock
  readonly random: () => number
  readonly link: RedisLink | undefined
  readonly prefix: string
  readonly nodeId: string
  /** Whether whole answers are kept; they are unless told. */
  readonly answers?: boolean
  /** Whether verdicts are kept; they are unless told. */
  readonly local?: boolean
}

export async function createSimulatedNode(options: SimulatedNodeOptions, first: Snapshot): Promise<SimulatedNode> {
  const { clock, random, link, prefix, nodeId } = options
  const meter = new ReadableMeter()
  const log = new KeptLog()
  const revocations = new Revocations()
  const maxAgeMs = () => Number.POSITIVE_INFINITY
  const bounds = { maxEntries: 500, maxBytes: 2_000_000, onEvict() {} }
  const verdicts = new WatchedCache({
    clock,
    random,
    meter,
    local:
      options.local === false
        ? undefined
        : new LocalTier({ ...bounds, refused: createRefusals(meter, 'verdict').size }),
    mesh:
      link === undefined
        ? undefined
        : new MeshTier({
            link,
            clock,
            meter,
            prefix,
            nodeId,
            sharedNow: () => Math.round(clock.monotonic()) + SERVER_START,
          }),
    revocations,
    protection: new Protection(clock, meter),
    cardinality: new KeyCardinality(log, meter),
    maxAgeMs,
    refreshesPerSecond: 5,
  })
  const tables = new HandlerTables({
    clock,
    log,
    environment: () => ({ environment: createTestEnvironment(), dispose: () => undefined }),
    guard: (handler) => createGuard({ handler, clock, random, meter, log }),
  })
  let state: PolicyState | undefined
  const current = (): PolicyState => {
    if (state === undefined) throw new Error('no config yet')
    return state
  }
  const apply = async (snapshot: Snapshot) => {
    const handlers = await tables.build(snapshot.handlers.values())
    state?.handlers.retire()
    state = { snapshot, rules: atOnce(RuleSelector.build(snapshot)), handlers }
  }
  await apply(first)
  return {
    meter,
    unknowns: verdicts.unknowns,
    details: log.details,
    engine: new CheckEngine({
      clock,
      metrics: createCheckMetrics(meter),
      log: new CheckLog(log),
      verdicts,
      answers:
        options.answers === false
          ? undefined
          : new AnswerCache({ ...bounds, revocations, maxAgeMs, refused: createRefusals(meter, 'answer') }),
      revocations,
      state: () => state,
    }),
    revocations,
    state: current,
    apply,
    async stop() {
      verdicts.stop()
      await tables.stop()
    },
  }
}

/** Remembers why there was no verdict. */
class WatchedCache extends VerdictCache {
  readonly unknowns: string[] = []

  override get(request: VerdictRequest): VerdictOutcome | Promise<VerdictOutcome> {
    const outcome = super.get(request)
    if (outcome instanceof Promise) void outcome.then((settled) => this.#watch(settled))
    else this.#watch(outcome)
    return outcome
  }

  #watch({ error }: VerdictOutcome): void {
    if (error !== undefined && this.unknowns.push(error.message) > 3) this.unknowns.shift()
  }
}
