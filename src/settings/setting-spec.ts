// What a setting is, and the words that the tables of settings share.

import type { OptionSpec } from './options.ts'

/** What a process can be: `all` is node and worker in one, a sidecar asks nodes for a service or proxy beside it. */
export const ROLES = ['node', 'worker', 'all', 'sidecar'] as const
export type Role = (typeof ROLES)[number]

export interface SettingSpec extends OptionSpec {
  readonly roles: readonly Role[]
  readonly group: string
  /** A bound of the whole node, of which each of its processes has its part. */
  readonly ofNode?: true
  /** Roles with a default of their own. */
  readonly defaults?: Readonly<Partial<Record<Role, unknown>>>
}

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
/** Roles that answer checks and take reports. */
export const SERVING: readonly Role[] = ['node', 'all', 'sidecar']
/** Roles that have the config, and Redis. */
export const CONFIGURED: readonly Role[] = ['node', 'worker', 'all']
/** Roles that decide by the config. */
export const DECIDING: readonly Role[] = ['node', 'all']
/** The role that asks those. */
export const SIDECAR: readonly Role[] = ['sidecar']
/** Roles that deliver reports. */
export const DRAINING: readonly Role[] = ['worker', 'all']
