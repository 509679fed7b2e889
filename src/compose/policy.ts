// Puts together what policy is to the doors and to operators: checks in one spelling, and revocations over the mesh.

import { type MeshKeyChoices, MeshKeys } from '../cache/mesh-keys.ts'
import { type RevocationReceipt, RevocationService } from '../cache/revocation-service.ts'
import { Revocations } from '../cache/revocations.ts'
import { CallerSizes } from '../cache/tuning/caller-sizes.ts'
import { CACHE_CALLER_ENTRIES, CACHE_CALLER_SAMPLES_TOTAL } from '../kernel/metrics/cache.ts'
import type { MeshSignatures } from '../kernel/mesh-signatures.ts'
import type { RevocationTarget } from '../kernel/revocation.ts'
import type { VerdictCache } from '../cache/verdict-cache.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { within } from '../kernel/deadline.ts'
import type { Clock } from '../kernel/ports.ts'
import type { CheckService, QuotaService } from '../kernel/services.ts'
import type { Siblings } from '../kernel/siblings.ts'
import { EndedRequests } from '../policy/ended-requests.ts'
import { normalTarget, NormalizingCheck, readingsOf } from '../policy/normalizing-check.ts'
import { NormalizingQuotas } from '../policy/normalizing-quotas.ts'
import type { RuleLimits } from '../policy/rule-limits.ts'
import type { RedisLink } from '../redis/connection.ts'
import { MemberBeats } from '../redis/member-beats.ts'
import type { Replication } from '../redis/replication.ts'
import type { PathAmbiguity } from '../wire/ambiguity.ts'
import { REPORT_FORMATS as formats } from '../wire/report-formats.ts'
import { type ChecksOptions, createChecks } from './checks.ts'
import { ComposedNews } from './node-news.ts'

/** What is chosen of policy; `policy-choices.ts` takes it from the settings. */
export interface PolicyChoices extends Pick<ChecksOptions, 'prefix' | 'nodeId' | 'cache'> {
  /** The oldest verdict, in ms, that is served while the node is out of touch with the log of revocations. */
  readonly partitionMaxAgeMs: number
  /** The key that nodes share; unset: whoever can write to their Redis is believed. */
  readonly meshKey?: MeshKeyChoices | undefined
  /** Where callers reach this node; unset: they are not told. */
  readonly advertiseAddress?: string | undefined
  /** Whether policy sees every path and host in normal form, and refuses what has none. */
  readonly normalizes: boolean
  /** What a path may hold although servers read it differently. */
  readonly allowedAmbiguities: ReadonlySet<PathAmbiguity>
}

export interface PolicyOptions extends PolicyChoices, Omit<ChecksOptions, 'revocations' | 'maxAgeMs' | 'seal'> {
  /** The Redis of the log of revocations; `undefined`: this process is the whole mesh. */
  readonly revocationLink: RedisLink | undefined
  /** Waits for replicas of that Redis, before a revocation is confirmed; unset where that is not promised. */
  readonly replication?: Replication | undefined
  /** The other processes of this node. */
  readonly siblings?: Siblings | undefined
}

export interface Policy {
  /** Answers the checks of every door. */
  readonly check: CheckService
  /** Charges quotas apart from checks, by the same rules and in the same spelling. */
  readonly quotas: QuotaService
  /** Gives back what requests held that have ended, as reports say. */
  readonly ended: EndedRequests
  /** Rate limits by rules. */
  readonly ruleLimits: RuleLimits
  /** A bag as rules see it, and as they see it too. @throws IntermixError INVALID_REQUEST where it is ambiguous. */
  readings(bag: AttributeBag): readonly [AttributeBag, AttributeBag?]
  readonly verdicts: VerdictCache
  /** Voids what depended on a value, in whichever spelling the value is given. Rejects as the service does. */
  revoke(target: RevocationTarget): Promise<RevocationReceipt>
  /** What callers of batch streams are told. */
  readonly news: ComposedNews
  readonly debug: ReadonlyMap<string, () => unknown>
  start(): Promise<void>
  /** Tells others that this node goes. */
  retire(): void
  stop(): void
}

const GAUGE_MS = 5_000
const CONNECT_PATIENCE_MS = 1_000

/**
 * Builds the policy side of a node. It answers from `start()` on, and before it from what is in the process alone.
 * @throws IntermixError INVALID_SETTING where the file of the mesh's keys cannot be used.
 */
export function createPolicy(options: PolicyOptions): Policy {
  const { clock, meter, revocationLink: link, siblings, meshKey } = options
  const revocations = new Revocations()
  const seal = meshKey && new MeshKeys({ ...options, ...meshKey })
  const service = new RevocationService({ ...options, revocations, link, siblings, signatures: seal })
  const checks = createChecks({ ...options, seal, revocations, maxAgeMs: () => service.maxAgeMs() })
  const { engine, quotas, requests, ruleLimits, verdicts } = checks
  const callerSizes = new CallerSizes(clock, meter.counter(CACHE_CALLER_SAMPLES_TOTAL)())
  const callerEntries = meter.gauge(CACHE_CALLER_ENTRIES)
  const news = new ComposedNews({ ...options, revocations, callerSizes, callers: service.callers, service })
  const beats = beatsOf(options, seal)
  if (beats !== undefined) news.tellMembers(beats)
  const allowed = options.allowedAmbiguities
  const readings = (bag: AttributeBag) => (options.normalizes ? readingsOf(bag, allowed) : ([bag] as const))
  const normalizing = options.normalizes ? new NormalizingCheck({ check: engine, allowed, meter }) : undefined
  let cancel: (() => void) | undefined
  const measure = () => {
    checks.measure()
    const { present, recommended } = callerSizes.total
    callerEntries({ size: 'present' }).set(present)
    callerEntries({ size: 'recommended' }).set(recommended)
    cancel = clock.after(GAUGE_MS, measure)
  }
  return {
    check: normalizing ?? engine,
    quotas: normalizing === undefined ? quotas : new NormalizingQuotas(quotas, normalizing),
    ended: new EndedRequests({ clock, meter, formats, requests, readings }),
    ruleLimits,
    readings: (bag) => normalizing?.readings(bag) ?? [bag],
    verdicts,
    news,
    revoke: async (target) => await service.revoke(normalizing === undefined ? target : normalTarget(target, allowed)),
    debug: new Map<string, () => unknown>([
      ['cache', () => ({ ...checks.view(), revocations: { ...revocations.epoch, inTouch: service.inTouch() } })],
      ['tuning', () => ({ ...checks.tuning(), callers: callerSizes.view() })],
    ]),
    async start() {
      seal?.start()
      await connected(link, clock)
      await service.start()
      beats?.start()
      checks.start()
      measure()
    },
    retire: () => beats?.leave(),
    stop() {
      seal?.stop()
      beats?.stop()
      cancel?.()
      checks.stop()
      service.stop()
    },
  }
}

function beatsOf(
  { revocationLink: link, clock, prefix, advertiseAddress: address }: PolicyOptions,
  signatures: MeshSignatures | undefined,
): MemberBeats | undefined {
  return link && address !== undefined ? new MemberBeats({ link, clock, prefix, address, signatures }) : undefined
}

/** A moment's patience for Redis: what is fetched before the first word from the log of revocations is not shared. */
async function connected(link: RedisLink | undefined, clock: Clock): Promise<void> {
  if (link === undefined) return
  let unsubscribe = () => {}
  const up = new Promise<void>((resolve) => {
    unsubscribe = link.onUp(resolve)
  })
  await within(clock, CONNECT_PATIENCE_MS, up, () => undefined)
  unsubscribe()
}
