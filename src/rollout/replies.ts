// What of the replies of Redis is believed.

import { IntermixError } from '../kernel/errors.ts'

export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[]
  throw unexpected()
}

export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  throw unexpected()
}

export function numberOf(value: unknown): number {
  if (Number.isSafeInteger(value)) return value as number
  throw unexpected()
}

function unexpected(): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of a script of config rollout')
}
