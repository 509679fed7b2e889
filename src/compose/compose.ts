// The composition root: the only place where the parts meet. It builds a node, a worker, or both in one process.

import { builtInAdapters } from '../adapters/index.ts'
import { loadAdapters } from '../adapters/load.ts'
import type { Variety } from '../adapter-kit/template.ts'
import type { CreateProcess, ProcessPorts, RunningProcess, Started } from './running-process.ts'
import type { Settings } from '../settings/settings.ts'
import { AdapterEnvironments } from './adapter-environments.ts'
import { grpcChoices } from './grpc-choices.ts'
import { createDomains, createRateLimits, type RateLimits } from './rate-limits.ts'
import { checkHandlers, chooseHandlers } from './handler-choice.ts'
import type { RolloutAnnouncer } from '../rollout/announcer.ts'
import type { RolloutController } from '../rollout/controller.ts'
import { type Door, door } from './listening-door.ts'
import { Following } from './following.ts'
import { LiveConfig } from './live-config.ts'
import { reportAcks } from './report-choices.ts'
import { policyChoices } from './policy-choices.ts'
import { createQuotaCounters } from './quota-counters.ts'
import { createAnnouncer, createRolloutControl } from './rollout-control.ts'
import { createReplications, type Replications } from './replications.ts'
import { createPolicy, type Policy } from './policy.ts'
import { processMemory, roomBytes, warnOfCacheMemory } from './process-memory.ts'
import { createReports, type CreateWorker, loadWorker, type Reports } from './reports.ts'
import type { ConfigSource } from '../config/config-source.ts'
import { folderSource } from '../config/folder-source.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { WatchedConfig } from '../config/watch.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisRole } from '../kernel/metrics/process.ts'
import { asRead, type Operations } from '../kernel/operation.ts'
import { createGuard } from '../policy/guard.ts'
import { explainCheck, type ExplainScope } from '../policy/explain.ts'
import { HandlerTables } from '../policy/handler-table.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import { redisTlsFiles } from '../settings/redis-settings.ts'
import { probeKeysOf } from './probe-keys.ts'
import type { RedisAccess } from '../redis/redis-access.ts'
import type { WatchedDomains } from '../quota/descriptors/watched-domains.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'
import { type AdapterListener, createAdapterListener } from '../server/adapter-listener.ts'
import { Admission } from '../server/admission.ts'
import { grpcServices } from '../server/grpc-doors.ts'
import type { CreateGrpcServer } from '../server/grpc-server.ts'
import { loadTransport } from '../server/grpc-transport.ts'
import { type BatchIds, createBatchIds } from '../kernel/batch-ids.ts'
import { fastifyHost } from '../server/fastify-host.ts'
import { createHttpServer } from '../server/http.ts'
import { explainOperation, revocationsOperation } from '../server/operations.ts'
import { rolloutOperation } from '../server/rollout-operation.ts'
import { quotasOperation } from '../server/quota-operation.ts'

const NODE_VARIETIES: readonly Variety[] = ['check', 'quota', 'attributes']
/** No check waits for that Redis, and it may be on another continent. */
const REVOCATION_TIMEOUT_MS = 1_000
/** An operator can wait. */
const QUOTAS_TIMEOUT_MS = 1_000
const WORKER_VARIETIES: readonly Variety[] = ['report', 'attributes']

/** Builds a process for a role. Rejects with `IntermixError` where a setting or the config cannot be used. */
export const createProcess: CreateProcess = async (role, settings, ports) => {
  const { clock, log, meter } = ports
  const adapters = await loadAdapters(settings.adapters.join(','), { from: process.cwd(), known: builtInAdapters() })
  const domains = createDomains(settings, ports)
  const compile = {
    adapters,
    defaultNamespace: settings.defaultNamespace,
    maxEvaluationSteps: settings.maxEvaluationSteps,
    requireRules: settings.requireRules,
    processes: settings.processes,
  }
  const open = async (source: ConfigSource) =>
    await WatchedConfig.open({ source, compile, onLoaded: (loaded) => domains?.takeFrom(loaded), clock, log, meter })
  const { configRedis } = settings
  const following = configRedis && new Following(configRedis, settings, ports, compile)
  await following?.connected()
  // Before there is a config: where none was ever published, somebody has to try the first one.
  const control = following && role !== 'worker' ? createRolloutControl(following, settings, ports) : undefined
  control?.start()
  const announcer = following && role !== 'worker' ? await createAnnouncer(following, settings, ports) : undefined
  announcer?.start()
  const watched = await (following?.open(open) ?? open(folderSource(settings.config, { clock, log })))
  checkHandlers(watched.current(), settings)
  const createGrpc = role === 'worker' ? undefined : await loadTransport(settings.transport)
  await domains?.start()
  return new Composition(
    settings,
    ports,
    { watched, following, control, announcer },
    domains,
    createGrpc,
    await loadWorker(settings),
  )
}

interface Configured {
  readonly watched: WatchedConfig
  /** Where the config comes from a Redis. */
  readonly following: Following | undefined
  /** Leads rollouts; workers never do. */
  readonly control: RolloutController | undefined
  /** Tells of them. */
  readonly announcer: RolloutAnnouncer | undefined
}

class Composition implements RunningProcess {
  readonly debug: ReadonlyMap<string, () => unknown>
  readonly operations: Operations
  readonly #settings: Settings
  readonly #ports: ProcessPorts
  readonly #watched: WatchedConfig
  readonly #following: Following | undefined
  readonly #control: RolloutController | undefined
  readonly #announcer: RolloutAnnouncer | undefined
  readonly #links = new Map<RedisRole, RedisLink>()
  readonly #environments: AdapterEnvironments
  readonly #listener: AdapterListener | undefined
  readonly #tables: HandlerTables
  readonly #config: LiveConfig
  readonly #policy: Policy | undefined
  readonly #reports: Reports
  readonly #replications: Replications
  readonly #rateLimits: RateLimits | undefined
  readonly #admission: Admission
  readonly #batchIds: BatchIds
  readonly #doors: ReadonlyMap<string, Door>

  constructor(
    settings: Settings,
    ports: ProcessPorts,
    { watched, following, control, announcer }: Configured,
    domains: WatchedDomains | undefined,
    createGrpc: CreateGrpcServer | undefined,
    createWorker: CreateWorker | undefined,
  ) {
    const { clock, random, log, meter, health, loopLag, siblings } = ports
    const { role, nodeId, redisPrefix, mesh, redisTimeoutMs, queueRedisTimeoutMs } = settings
    const serving = role !== 'worker'
    this.#settings = settings
    this.#ports = ports
    this.#watched = watched
    this.#following = following
    this.#control = control
    this.#announcer = announcer
    if (following !== undefined) this.#links.set('config', following.link)
    const link = (access: RedisAccess | undefined, kind: RedisRole, commandTimeoutMs: number) => {
      if (access === undefined) return undefined
      const probeKeys = () => probeKeysOf(kind, settings)
      const made = connectRedis({ access, role: kind, commandTimeoutMs, probeKeys, clock, random, log, meter })
      this.#links.set(kind, made)
      return made
    }
    const cacheLink = serving ? link(settings.cacheRedis, 'cache', redisTimeoutMs) : undefined
    const queueLink = link(settings.queueRedis, 'queue', queueRedisTimeoutMs)
    const revocationLink = serving ? link(settings.revocationRedis, 'revocations', REVOCATION_TIMEOUT_MS) : undefined
    this.#listener = role === 'node' ? undefined : createAdapterListener(log)
    const listener = this.#listener
    this.#batchIds = createBatchIds({ nodeId, clock, random })
    const { process } = this.#batchIds
    this.#environments = new AdapterEnvironments({
      clock,
      random,
      log,
      meter,
      process: settings.process,
      processId: process,
      prefix: meshPrefix(redisPrefix, mesh),
      queueLink,
      timeoutMs: queueRedisTimeoutMs,
      tls: redisTlsFiles(settings),
      listener,
      siblings,
    })
    this.#tables = new HandlerTables({
      clock,
      log,
      environment: (handler) => this.#environments.create(handler),
      guard: (handler) => createGuard({ handler, clock, random, meter, log }),
    })
    const draining = role !== 'node' || queueLink === undefined
    const varieties = new Set([...(serving ? NODE_VARIETIES : []), ...(draining ? WORKER_VARIETIES : [])])
    const choose = (snapshot: Snapshot) => chooseHandlers(snapshot, settings)
    this.#config = new LiveConfig({ watched, tables: this.#tables, varieties, choose, clock, log, meter, health })
    const state = () => this.#config.state()
    const redis = {
      mesh: settings.cacheMesh ? cacheLink : undefined,
      revocationLink: revocationLink ?? queueLink ?? cacheLink,
    }
    this.#replications = createReplications(
      settings,
      { cacheLink, queueLink, revocationLink },
      { clock, random, meter },
    )
    const { queue: queueReplication, revocations: replication } = this.#replications
    const choices = policyChoices(settings)
    const { tuning, maxBytes } = choices.cache
    if (serving && settings.cacheLocal)
      warnOfCacheMemory(log, tuning?.memoryBytes ?? maxBytes, roomBytes(settings.processes))
    this.#policy = serving
      ? createPolicy({
          ...choices,
          ...redis,
          replication,
          clock,
          random,
          log,
          meter,
          state,
          siblings,
          observer: following?.observer,
          trial: following && (() => following.trial(this.#config.behind())),
          memory: processMemory(settings.processes),
        })
      : undefined
    this.#rateLimits =
      domains && this.#policy && createRateLimits(domains, this.#policy.ruleLimits, settings, this.#environments, ports)
    const queue = { queueLink, queueReplication }
    this.#reports = createReports({ settings, process, clock, random, log, meter, ...queue, health, createWorker })
    this.#admission = new Admission({ clock, log, meter, loopLag, maxInFlight: settings.maxInFlight })
    this.#doors = this.#createDoors(createGrpc)
    this.operations = this.#createOperations()
    this.debug = new Map<string, () => unknown>([
      ['config', () => watched.status()],
      ...(following === undefined ? [] : ([['rollout', () => following.view()]] as const)),
      ...(serving ? ([['admission', () => this.#admission.view()]] as const) : []),
      ...(this.#rateLimits === undefined ? [] : ([['ratelimit', this.#rateLimits.view]] as const)),
      ...(this.#policy?.debug ?? []),
      ...this.#reports.debug,
    ])
  }

  async start(): Promise<Started> {
    const { settings } = { settings: this.#settings }
    await this.#reports.start()
    this.#config.onState((state) => this.#reports.follow(state))
    this.#config.onState(() => this.#policy?.news.changed())
    const { snapshot } = await this.#config.start()
    await this.#policy?.start()
    const addresses: Record<string, string> = {}
    for (const [name, door] of this.#doors) addresses[name] = await door.listen()
    if (this.#listener !== undefined) addresses['prometheus'] = await this.#listener.listen(settings.prometheusAddress)
    this.#followRedis()
    this.#following?.start({ watched: this.#watched, config: this.#config, verdicts: this.#policy?.verdicts })
    const config = `${snapshot.rules.length} rules, ${snapshot.handlers.size} handlers, ${snapshot.instances.size} instances`
    return { addresses, facts: { config } }
  }

  retire(): void {
    void this.#following?.leave()
    this.#policy?.retire()
    for (const door of this.#doors.values()) door.retire()
  }

  async stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#ports
    const endAt = clock.monotonic() + deadlineMs
    const left = () => Math.max(0, endAt - clock.monotonic())
    await this.#control?.stop()
    await this.#announcer?.stop()
    await this.#following?.stop()
    // Doors first, so that what they still take is handed on; handlers last, because others use them until then.
    await Promise.all([...this.#doors.values()].map((door) => door.drain(left() / 2)))
    const ended = this.#policy?.ended.idle()
    if (ended !== undefined) await within(clock, left() / 2, ended, () => undefined)
    await this.#config.stop()
    try {
      await this.#reports.stop(left())
    } finally {
      this.#policy?.stop()
      await this.#tables.stop()
      await this.#rateLimits?.stop()
      await this.#listener?.close()
      this.#watched.close()
      this.#environments.close()
      this.#replications.close()
      for (const link of this.#links.values()) link.close()
    }
  }

  #createDoors(createGrpc: CreateGrpcServer | undefined): ReadonlyMap<string, Door> {
    const policy = this.#policy
    const { intake } = this.#reports
    if (policy === undefined || intake === undefined || createGrpc === undefined) return new Map()
    const { clock, random, log, meter } = this.#ports
    const { maxMessageSize, trustForwarded, grpcAddress, httpAddress } = this.#settings
    const { checkTimeoutMs: defaultTimeoutMs, maxHeaderBytes, maxMapEntries, maxAttributeBytes } = this.#settings
    const limits = { maxMapEntries, maxAttributeBytes }
    const admission = this.#admission
    const nextBatchId = this.#batchIds.next
    const common = { clock, random, log, meter, admission, nextBatchId, defaultTimeoutMs, limits }
    const rateLimit = this.#rateLimits?.door
    const given = {
      ...common,
      rateLimit,
      check: policy.check,
      quotas: policy.quotas,
      report: policy.ended.listeningTo(intake),
      reportAcks: reportAcks(this.#settings.reportAck),
    }
    const grpc = createGrpc({
      ...common,
      ...grpcChoices(this.#settings),
      services: grpcServices({ ...given, news: policy.news }),
      maxMessageBytes: maxMessageSize,
    })
    const http = createHttpServer(
      { ...given, trustForwarded, maxBodyBytes: maxMessageSize, maxHeaderBytes },
      fastifyHost,
    )
    return new Map([
      ['grpc', door(grpc, grpcAddress, this.#settings)],
      ['http', door(http, httpAddress, this.#settings)],
    ])
  }

  #createOperations(): Operations {
    const policy = this.#policy
    const following = this.#following
    if (policy === undefined) return new Map()
    const { clock, log } = this.#ports
    const { checkTimeoutMs: defaultTimeoutMs, maxMapEntries, maxAttributeBytes } = this.#settings
    const operator = {
      check: policy.check,
      defaultTimeoutMs,
      limits: { maxMapEntries, maxAttributeBytes },
      log,
      handlers: () => this.#config.state()?.snapshot.handlers.keys() ?? [],
      revoke: (target: Parameters<Policy['revoke']>[0]) => policy.revoke(target),
      explain: async (bag: AttributeBag, timeoutMs: number, scope: ExplainScope) => {
        const state = this.#config.state()
        if (state === undefined) throw new IntermixError('NOT_READY', 'no config is loaded yet')
        const explained = (reading: AttributeBag) =>
          explainCheck(state, reading, timeoutMs, { clock, verdicts: policy.verdicts }, scope)
        const [usual, unresolved] = policy.readings(bag)
        if (unresolved === undefined) return await explained(usual)
        return { ...(await explained(usual)), unresolvedDots: await explained(unresolved) }
      },
    }
    return new Map([
      ['revocations', revocationsOperation(operator)],
      ['explain', explainOperation(operator)],
      ['quotas', quotasOperation(operator, this.#createQuotaCounters())],
      ...(following === undefined ? [] : ([[asRead('rollout'), rolloutOperation(operator, following)]] as const)),
    ])
  }

  #createQuotaCounters(): ReturnType<typeof createQuotaCounters> {
    const { clock, siblings } = this.#ports
    return createQuotaCounters({
      state: () => this.#config.state(),
      usage: this.#environments.usage,
      descriptors: this.#rateLimits?.counters,
      clock,
      timeoutMs: QUOTAS_TIMEOUT_MS,
      siblings,
      process: this.#batchIds.process,
    })
  }

  /** Readiness tells of Redis, but does not depend on it: without it the process serves on. */
  #followRedis(): void {
    const { health } = this.#ports
    if (this.#links.size === 0) health.set('redis', true, 'none: in-process tiers only')
    for (const [role, link] of this.#links) {
      const name = this.#links.size === 1 && role !== 'revocations' ? 'redis' : `${role}-redis`
      link.onReason(() => {
        const reason = link.reason()
        const is = link.state() === 'up' ? 'up' : 'down: going on without it'
        health.set(name, true, reason === undefined ? is : `${is}: ${reason}`)
      })
    }
  }
}
