// Where links write to find out whether Redis can be used: beside what their role keeps there, so that a user with the least
// rights may, and on a cluster in the slots that count.

import type { RedisRole } from '../kernel/metrics/process.ts'
import type { Settings } from '../settings/settings.ts'
import { meshPrefix } from '../telemetry/queue-names.ts'

/** Verdicts lie in all slots: with so many keys, every master has one most likely. */
const VERDICT_KEYS = 8

/** Keys for the probes of a link. */
export function probeKeysOf(role: RedisRole, settings: Settings): readonly string[] {
  const { redisPrefix, mesh, revocationRedis } = settings
  const revocations = `{${redisPrefix}:revocations}:probe`
  if (role === 'revocations') return [revocations]
  if (role === 'cache') return Array.from({ length: VERDICT_KEYS }, (_, i) => `${redisPrefix}:{probe-${i}}`)
  const prefix = meshPrefix(redisPrefix, mesh)
  if (role === 'config') return [`{${prefix}-rollout}:probe`]
  const own = [`{${prefix}-ledger}:probe`, `{${prefix}-reports}:probe`]
  return settings.role === 'worker' || revocationRedis !== undefined ? own : [...own, revocations]
}
