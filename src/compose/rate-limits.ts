// Rate limits: what Envoy's rate limit filter asks for.

import { resolve } from 'node:path'
import { folderSource } from '../config/folder-source.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { QuotaAssigner } from '../quota/assignments/quota-assigner.ts'
import { DescriptorLimits } from '../quota/descriptors/descriptor-limits.ts'
import { resetDescriptors } from '../quota/descriptors/reset-descriptors.ts'
import { RateLimitSources } from '../quota/rate-limit-sources.ts'
import type { DescriptorCounters } from '../policy/quota-counters.ts'
import type { RuleLimits } from '../policy/rule-limits.ts'
import { WatchedDomains } from '../quota/descriptors/watched-domains.ts'
import type { RateLimitDoor } from '../server/door-dependencies.ts'
import type { Settings } from '../settings/settings.ts'
import type { AdapterEnvironments } from './adapter-environments.ts'

interface Ports {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** What handlers are called has dots. */
const COUNTERS = 'ratelimit'

export interface RateLimits {
  readonly door: RateLimitDoor
  /** For operators. */
  readonly counters: DescriptorCounters
  readonly view: () => object
  /** Gives back what is held ahead of need. */
  readonly stop: () => Promise<void>
}

/** The domains of a process that serves; `undefined` where it does not. They are read when they start. */
export function createDomains(settings: Settings, { clock, log, meter }: Ports): WatchedDomains | undefined {
  const { role, config, ratelimitConfig } = settings
  if (role === 'worker') return undefined
  // Domains in the folder of the config come from there.
  const isApart = ratelimitConfig !== undefined && resolve(ratelimitConfig) !== resolve(config)
  const source = isApart ? folderSource(ratelimitConfig, { clock, log }) : undefined
  return new WatchedDomains({ source, clock, log, meter })
}

/** Those of domains and those of rules. Counters of domains lie beside those of handlers, in Redis where there is one. */
export function createRateLimits(
  domains: WatchedDomains,
  rules: RuleLimits,
  settings: Settings,
  environments: AdapterEnvironments,
  { clock, log, meter }: Ports,
): RateLimits {
  const limits = environments.limits(COUNTERS)
  if (settings.queueRedis === undefined && !domains.isEmpty)
    log.warn({ processes: settings.processes }, 'without Redis each process counts rate limits by itself')
  const given = { domains, limits: limits.open, clock, meter }
  const assigner = settings.rlqs
    ? new QuotaAssigner({ ...given, log, claims: environments.claims(COUNTERS) })
    : undefined
  const service = new RateLimitSources({ domains, descriptors: new DescriptorLimits(given), rules })
  return {
    door: {
      service,
      headers: settings.ratelimitHeaders,
      metadata: settings.ratelimitMetadata,
      assignments: assigner,
    },
    counters: {
      name: COUNTERS,
      service,
      reset: (domain, entries) => resetDescriptors(domains.domain(domain), limits.open(), entries),
    },
    view: () => ({ ...domains.view(), ...(assigner === undefined ? {} : { quotas: assigner.view() }) }),
    stop: async () => {
      assigner?.stop()
      domains.close()
      await limits.end()
    },
  }
}
