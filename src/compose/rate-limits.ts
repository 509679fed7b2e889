// Rate limits by descriptors: what Envoy's rate limit filter asks for.

import { folderSource } from '../config/folder-source.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import { DescriptorLimits } from '../quota/descriptors/descriptor-limits.ts'
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
  readonly view: () => object
  /** Gives back what is held ahead of need. */
  readonly stop: () => Promise<void>
}

/** Opens the folder of a process that serves; `undefined` where there is none. Rejects with INVALID_CONFIG. */
export async function openDomains(settings: Settings, ports: Ports): Promise<WatchedDomains | undefined> {
  const { role, ratelimitConfig } = settings
  if (role === 'worker' || ratelimitConfig === undefined) return undefined
  return await WatchedDomains.open({ ...ports, source: folderSource(ratelimitConfig, ports) })
}

/** Their counters lie beside those of handlers, in Redis where there is one. */
export function createRateLimits(
  domains: WatchedDomains,
  settings: Settings,
  environments: AdapterEnvironments,
  { clock, log, meter }: Ports,
): RateLimits {
  const limits = environments.limits(COUNTERS)
  if (settings.queueRedis === undefined)
    log.warn({ processes: settings.processes }, 'without Redis each process counts rate limits by itself')
  return {
    door: {
      service: new DescriptorLimits({ domains, limits: limits.open, clock, meter }),
      headers: settings.ratelimitHeaders,
    },
    view: () => domains.view(),
    stop: async () => {
      domains.close()
      await limits.end()
    },
  }
}
