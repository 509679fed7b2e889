// Adapters whose schemas hold what the compiler must cope with: defaults, choices, nesting, the operator's own keys.

import { z } from 'zod'
import { type AnyAdapter, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'

const denier = defineAdapter({
  name: 'denier',
  description: 'Denies.',
  templates: ['checknothing', 'listentry', 'quota'],
  config: z.object({ status: z.object({ code: z.number().default(9), message: z.string().optional() }).prefault({}) }),
  doesIo: false,
  create: () => ({}),
})

const lister = defineAdapter({
  name: 'lister',
  description: 'Looks values up in a list.',
  templates: ['listentry'],
  config: z.object({
    overrides: z.array(z.string()).default([]),
    blacklist: z.boolean().default(false),
    entryType: z.enum(['STRINGS', 'REGEX']).default('STRINGS'),
    refresh: z.number().default(60),
    ttl: z.number().default(300),
  }),
  doesIo: true,
  validate: ({ refresh, ttl }) =>
    ttl < refresh ? [{ path: ['ttl'], message: '"ttl" must not be shorter than "refresh".' }] : [],
  create: () => ({}),
})

const limiter = defineAdapter({
  name: 'limiter',
  description: 'Grants quotas.',
  templates: ['quota'],
  config: z.object({
    quotas: z.array(
      z.object({
        name: z.string(),
        maxAmount: z.number().int(),
        overrides: z
          .array(z.object({ dimensions: z.record(z.string(), z.string()), maxAmount: z.number().int() }))
          .default([]),
      }),
    ),
  }),
  doesIo: true,
  create: () => ({}),
})

const both = defineAdapter({
  name: 'both',
  description: 'Asked for verdicts and sent reports.',
  templates: ['listentry', 'metric'],
  config: z.object({}),
  doesIo: true,
  create: () => ({}),
})

const meter = defineAdapter({
  name: 'meter',
  description: 'Counts.',
  templates: ['metric', 'logentry', 'reportnothing', 'edge', 'tracespan'],
  config: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    metrics: z.array(z.object({ instanceName: z.string() })).default([]),
  }),
  doesIo: true,
  create: () => ({}),
})

const patient = defineAdapter({
  name: 'patient',
  description: 'Has a backend that takes its time.',
  templates: ['listentry', 'metric'],
  config: z.object({}),
  doesIo: true,
  timeouts: { checkMs: 400, reportMs: 20_000 },
  create: () => ({}),
})

const pods = defineAdapter({
  name: 'pods',
  description: 'Knows pods.',
  templates: ['kubernetes'],
  config: z.object({}),
  doesIo: false,
  create: () => ({}),
})

const door = defineAdapter({
  name: 'door',
  description: 'Asks somebody else.',
  templates: ['authorization', 'apikey', 'checknothing'],
  config: z.object({ address: z.union([z.string(), z.object({ host: z.string(), port: z.number() })]).optional() }),
  doesIo: true,
  create: () => ({}),
})

/** The catalogue of these adapters. */
export const TEST_ADAPTERS: ReadonlyMap<string, AnyAdapter> = new Map(
  [denier, lister, limiter, both, meter, patient, pods, door].map((adapter: AnyAdapter) => [adapter.name, adapter]),
)
