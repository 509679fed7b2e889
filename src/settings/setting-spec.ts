// What a setting is, and the words that the tables of settings share.

import type { OptionSpec } from './options.ts'

/** What a process can be: `all` is node and worker in one. */
export const ROLES = ['node', 'worker', 'all'] as const
export type Role = (typeof ROLES)[number]

export interface SettingSpec extends OptionSpec {
  readonly roles: readonly Role[]
  readonly group: string
  /** A bound of the whole node, of which each of its processes has its part. */
  readonly ofNode?: true
}

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
/** Roles that answer checks and take reports. */
export const SERVING: readonly Role[] = ['node', 'all']
/** Roles that deliver reports. */
export const DRAINING: readonly Role[] = ['worker', 'all']
