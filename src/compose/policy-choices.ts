// What the settings choose of policy.

import type { Settings } from '../settings/settings.ts'
import { defaultCacheMemory } from './cache-memory.ts'
import type { PolicyChoices } from './policy.ts'

/** The choices that the settings make; `cacheLocal` stands for both grains of the cache. */
export function policyChoices(settings: Settings): PolicyChoices {
  return {
    prefix: settings.redisPrefix,
    nodeId: settings.nodeId,
    cache: {
      answers: settings.cacheLocal,
      verdicts: settings.cacheLocal,
      maxEntries: settings.cacheMaxEntries,
      maxBytes: settings.cacheMaxBytes,
      tuning: settings.cacheIsFixed
        ? undefined
        : {
            memoryBytes: settings.cacheMemory ?? defaultCacheMemory(settings.processes),
            secondsPerUnit: settings.cacheMoneyTime / 1_000,
          },
      refreshesPerSecond: settings.cacheRefreshRate,
    },
    meshKey:
      settings.meshKey === undefined
        ? undefined
        : { file: settings.meshKey, mode: settings.meshKeyMode, encrypts: settings.meshEncrypt },
    advertiseAddress: settings.advertiseAddress,
    partitionMaxAgeMs: settings.partitionMaxAgeMs,
    normalizes: settings.requestSpelling === 'normal',
    allowedAmbiguities: new Set(settings.allowAmbiguousPaths),
  }
}
