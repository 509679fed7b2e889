// Params of the stdio adapter, as Mixer's documentation describes them.

import { z } from 'zod'

export const LEVELS = ['INFO', 'WARNING', 'ERROR'] as const

const level = z.enum(LEVELS)

export const stdioConfig = z.strictObject({
  logStream: z.enum(['STDOUT', 'STDERR', 'FILE', 'ROTATED_FILE']).default('STDOUT'),
  /** Level by severity of a log entry, beside the usual names in any case; other severities are INFO. */
  severityLevels: z.record(z.string(), level).default({}),
  /** Level of metrics. */
  metricLevel: level.default('INFO'),
  outputAsJson: z.boolean().default(false),
  /** What is below this level is left out. */
  outputLevel: level.default('INFO'),
  /** For FILE and ROTATED_FILE. */
  outputPath: z.string().default(''),
  maxMegabytesBeforeRotation: z.int().min(1).max(100_000).default(100),
  maxDaysBeforeRotation: z.int().min(0).max(36_500).default(30),
  maxRotatedFiles: z.int().min(0).max(100_000).default(1000),
})

export type StdioConfig = z.output<typeof stdioConfig>
export type Level = (typeof LEVELS)[number]
