// A process that follows config rollouts: what it needs of Redis and of its disk, put together, and led to the config that
// it lives by.

import { join } from 'node:path'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { CompileSnapshotOptions } from '../config/compile-context.ts'
import type { ConfigSource } from '../config/config-source.ts'
import type { WatchedConfig } from '../config/watch.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { ROLLOUT_VERSIONS_TOTAL } from '../kernel/metrics/rollout.ts'
import { formatProblem } from '../kernel/problem.ts'
import { redactRedisUrl } from '../kernel/redis-url.ts'
import type { PolicyState } from '../policy/handler-table.ts'
import type { CheckObserver } from '../policy/check-observer.ts'
import type { Trial } from '../policy/trial.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import type { RedisAccess } from '../redis/redis-access.ts'
import { BootGuard } from '../rollout/follower/boot-guard.ts'
import { CandidateShadow } from '../rollout/follower/candidate-shadow.ts'
import { FollowedVersions } from '../rollout/follower/followed-versions.ts'
import { Follower, type Taken } from '../rollout/follower/follower.ts'
import { ObservedChecks } from '../rollout/follower/observed-checks.ts'
import { type Bad, heldUntil } from '../rollout/follower/records.ts'
import { Teller } from '../rollout/follower/teller.ts'
import { VersionDisk } from '../rollout/follower/version-disk.ts'
import { VersionSource } from '../rollout/follower/version-source.ts'
import { Masking } from '../rollout/masking.ts'
import { Observations } from '../rollout/observations.ts'
import { RecordedBags } from '../rollout/recorded-bags.ts'
import { RolloutStore } from '../rollout/rollout-store.ts'
import { StageCounters } from '../rollout/stage-counters.ts'
import { phaseOf, stageKey } from '../rollout/state.ts'
import { VersionStore } from '../rollout/version-store.ts'
import type { Settings } from '../settings/settings.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'
import type { LiveConfig } from './live-config.ts'
import { probeKeysOf } from './probe-keys.ts'
import type { ProcessPorts } from './running-process.ts'

/** Nobody's request waits for it. */
const TIMEOUT_MS = 1_000
const CONNECT_MS = 1_000
/** How long a process that ends tells the others so. */
const LEAVE_MS = 1_000
const MAX_PROBLEMS = 5

export interface LedProcess {
  readonly watched: WatchedConfig
  readonly config: LiveConfig
  /** `undefined` where nothing is checked. */
  readonly verdicts: VerdictCache | undefined
}

/** Follows the rollouts in a Redis. */
export class Following {
  readonly link: RedisLink
  readonly source: ConfigSource
  /** Watches the checks of this process. */
  readonly observer: CheckObserver
  readonly store: RolloutStore
  readonly versions: VersionStore
  readonly observations: Observations
  /** Attributes of recent requests. */
  readonly recorded: RecordedBags
  readonly #ports: ProcessPorts
  readonly #compile: CompileSnapshotOptions
  readonly #disk: VersionDisk | undefined
  readonly #guard: BootGuard
  readonly #files: FollowedVersions
  readonly #follower: Follower
  readonly #checks: ObservedChecks
  readonly #teller: Teller
  readonly #masking = new Masking()
  #shadow: CandidateShadow | undefined

  /** @throws IntermixError INVALID_SETTING */
  constructor(access: RedisAccess, settings: Settings, ports: ProcessPorts, compile: CompileSnapshotOptions) {
    const { clock, random, log, meter, health } = ports
    const { nodeId: node, role, configCache, process } = settings
    this.#ports = ports
    this.#compile = compile
    const folder = configCache === undefined ? undefined : join(configCache, `process-${process}`)
    const disk = folder === undefined ? undefined : new VersionDisk(folder, { clock, log, meter })
    this.#disk = disk
    const probeKeys = () => probeKeysOf('config', settings)
    const commandTimeoutMs = Math.max(TIMEOUT_MS, settings.queueRedisTimeoutMs)
    this.link = connectRedis({ access, role: 'config', commandTimeoutMs, probeKeys, clock, random, log, meter })
    const place = { link: this.link, prefix: meshPrefix(settings.redisPrefix, settings.mesh) }
    this.store = new RolloutStore(place)
    this.versions = new VersionStore(place)
    this.observations = new Observations(place)
    this.#guard = new BootGuard(disk, clock)
    this.#files = new FollowedVersions(this.versions, disk, log)
    const source = new VersionSource(redactRedisUrl(access.url), clock)
    this.source = source
    const [guard, versions] = [this.#guard, this.#files]
    this.#follower = new Follower({ clock, log, meter, node, store: this.store, versions, guard, source, stageKey })
    this.recorded = new RecordedBags({ clock, random, masking: this.#masking })
    const counters = new StageCounters(clock)
    const proved = meter.counter(ROLLOUT_VERSIONS_TOTAL)({ outcome: 'proved' })
    this.#checks = new ObservedChecks(counters, this.recorded)
    this.observer = this.#checks
    this.#teller = new Teller({
      clock,
      log,
      node,
      kind: role === 'worker' ? 'worker' : 'node',
      follower: this.#follower,
      guard,
      observations: this.observations,
      counters,
      checks: this.#checks,
      isHealthy: () => health.ready,
      onProved: () => {
        proved.add()
        void this.#files.tidy()
      },
    })
    ports.onCrash?.((error) => guard.crashed(error, this.#follower.candidate))
  }

  /** Takes its folder, and has a moment's patience for Redis, before it is said to be away. To be called before all else. */
  async connected(): Promise<void> {
    await Promise.all([this.#disk?.claim(), this.#linked()])
  }

  async #linked(): Promise<void> {
    let unsubscribe = () => {}
    const up = new Promise<void>((resolve) => {
      unsubscribe = this.link.onUp(resolve)
    })
    await within(this.#ports.clock, CONNECT_MS, up, () => undefined)
    unsubscribe()
  }

  /**
   * Opens the config by the version that this process is to run, once there is one; by another one where that cannot be
   * used. Rejects as opening does where there is no other one.
   */
  async open(open: (source: ConfigSource) => Promise<WatchedConfig>): Promise<WatchedConfig> {
    await this.#follower.first()
    // What ended this process the last time is to be known before it has started.
    void this.#teller.tellBad()
    for (;;) {
      try {
        return await open(this.source)
      } catch (error) {
        const { code, message } = IntermixError.from(error)
        if (code !== 'INVALID_CONFIG' || !(await this.#follower.instead(message))) throw error
      }
    }
  }

  /** Follows from now on. */
  start({ watched, config, verdicts }: LedProcess): void {
    const { clock, random, meter } = this.#ports
    if (verdicts !== undefined) {
      this.#shadow = new CandidateShadow({
        clock,
        random,
        meter,
        cached: (handler, instance, bag) => verdicts.peek(handler, instance, bag),
        compile: this.#compile,
        versions: this.#files,
        masking: this.#masking,
        checks: this.#checks,
      })
    }
    this.#follower.start({
      // Where nothing is checked, nobody needs the handlers of the config before.
      take: (isTrial) => take(watched, config, isTrial && verdicts !== undefined),
      trust: () => config.trust(),
      shadow: async (candidate) => (await this.#shadow?.follow(candidate)) ?? { ok: true },
    })
    this.#teller.start()
  }

  /** How the config that runs is tried. @param behind the one before it, which runs on while that is so */
  trial(behind: PolicyState | undefined): Trial | undefined {
    return behind && { behind, namespaces: this.#follower.tried }
  }

  /** Tells the others that this process goes. */
  async leave(): Promise<void> {
    await within(this.#ports.clock, LEAVE_MS, this.#teller.leave(), () => undefined)
  }

  /** Safe without `start`, and safe twice. */
  async stop(): Promise<void> {
    await this.leave()
    this.#teller.stop()
    await this.#follower.stop()
    this.#shadow?.stop()
    this.#guard.ended()
    this.#disk?.close()
    this.link.close()
  }

  /** What this process does in rollouts, for people. */
  view(): object {
    const { state, running, assignment, isAway } = this.#follower
    const { confirmed, boot, bad } = this.#guard.records
    const until = (one: Bad) => ({ ...one, at: timeOf(one.at), triedAgainAt: timeOf(heldUntil(one)) })
    return {
      cache: this.#disk === undefined ? 'none' : (this.#disk.trouble ?? 'used'),
      redis: isAway ? 'away: what runs is kept' : 'followed',
      running,
      role: assignment?.role,
      phase: state && phaseOf(state),
      confirmed,
      unproved: boot,
      bad: bad.map(until),
      recorded: { bags: this.recorded.size, characters: this.recorded.characters },
      shadow: this.#checks.shadow?.findings(),
    }
  }
}

function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}

async function take(watched: WatchedConfig, config: LiveConfig, isTrial: boolean): Promise<Taken> {
  config.trial(isTrial)
  await watched.reload()
  const { state, problems } = watched.status()
  if (state !== 'ok') {
    const errors = problems.filter(({ severity }) => severity === 'error')
    const told = errors.slice(0, MAX_PROBLEMS).map(formatProblem).join('\n')
    return { ok: false, reason: told === '' ? 'it could not be compiled' : told }
  }
  const failure = await config.settled()
  return failure === undefined ? { ok: true } : { ok: false, reason: IntermixError.from(failure).message }
}
