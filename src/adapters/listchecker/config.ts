// Params of the list checker, with Mixer's names and defaults.

import { z } from 'zod'
import type { ConfigIssue } from '../../adapter-kit/define-adapter.ts'
import { goDuration, httpUrl } from '../../adapter-kit/schema.ts'
import { ENTRY_TYPES, entryProblem } from './entries.ts'

export const config = z.strictObject({
  /** Where the list is fetched from; empty: only `overrides`. */
  providerUrl: z.union([z.literal(''), httpUrl()]).default(''),
  refreshInterval: goDuration({ minMs: 1_000 }).default(60_000),
  ttl: goDuration().default(300_000),
  cachingInterval: goDuration().default(300_000),
  cachingUseCount: z.int().min(0).default(10_000),
  overrides: z.array(z.string()).default([]),
  entryType: z.enum(ENTRY_TYPES).default('STRINGS'),
  blacklist: z.boolean().default(false),
  timeout: goDuration({ minMs: 1 }).default(10_000),
  maxBytes: z.int().min(1).default(16_777_216),
})

export type ListConfig = z.output<typeof config>

export function validate(params: ListConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = []
  if (params.providerUrl !== '' && params.ttl < params.refreshInterval) {
    issues.push({
      path: ['ttl'],
      message: 'must be at least refreshInterval, or the list is gone between two refreshes',
    })
  }
  for (const [index, entry] of params.overrides.entries()) {
    const message = entryProblem(params.entryType, entry)
    if (message !== undefined) issues.push({ path: ['overrides', index], message })
  }
  return issues
}
