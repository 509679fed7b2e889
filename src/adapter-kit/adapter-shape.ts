// Whether a value is an adapter at all, and a sound one: asked of modules that are loaded at run time.

import { z } from 'zod'
import { templateProblems } from './template.ts'
import { BUILT_IN_TEMPLATES } from './templates.ts'

const NAME = /^[a-z][a-z0-9]{0,62}$/

const count = z.int('must be a whole number').min(1, 'must be at least 1')
const ms = z.number().min(0)
const callMs = z.number().min(1, 'must be at least 1').max(600_000, 'must be at most 600000')
// Adapters of other people still say `attempts`; an age bounds tries now.
const retries = z.strictObject({ attempts: z.unknown(), firstDelayMs: ms, maxDelayMs: ms, maxAgeMs: ms }).partial()
const reportLimits = z
  .strictObject({ maxInstances: count, concurrency: count, ordered: z.boolean(), queueInstances: count, retries })
  .partial()

const shape = z.object({
  name: z.string().regex(NAME, 'must be lower-case letters and digits, beginning with a letter, at most 63'),
  description: z.string().min(1, 'must say in a few words what the adapter does'),
  templates: z
    .array(z.union([z.string(), z.looseObject({ name: z.unknown() })]))
    .min(1, 'must name at least one template'),
  config: z.custom((value) => value instanceof z.ZodType || isSchema(value), 'must be a zod schema'),
  doesIo: z.boolean('must say whether a check leaves the process (true or false)'),
  staleIfErrorMs: z.number().min(0).optional(),
  reportLimits: reportLimits.optional(),
  timeouts: z.strictObject({ checkMs: callMs, reportMs: callMs }).partial().optional(),
  aggregations: z
    .record(
      z.string(),
      z.custom((value) => typeof value === 'function', 'must be a function'),
    )
    .optional(),
  validate: z.custom((value) => value === undefined || typeof value === 'function', 'must be a function').optional(),
  target: z.custom((value) => value === undefined || typeof value === 'function', 'must be a function').optional(),
  aggregation: z.custom((value) => value === undefined || typeof value === 'function', 'must be a function').optional(),
  create: z.custom((value) => typeof value === 'function', 'must be a function'),
})

// An adapter may come with its own copy of zod, so that `instanceof` is no test.
function isSchema(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'safeParse' in value && typeof value.safeParse === 'function'
}

/** Everything that is wrong with a value as an adapter, one sentence each; empty where it is one. */
export function adapterProblems(value: unknown): readonly string[] {
  const parsed = shape.safeParse(value)
  if (!parsed.success) {
    return parsed.error.issues.map(({ path, message }) =>
      path.length === 0 ? message : `${path.join('.')}: ${message}`,
    )
  }
  const { templates } = parsed.data
  const names = templates.map((template) => (typeof template === 'string' ? template : String(template.name)))
  return [
    ...templates.flatMap(referenceProblems),
    ...names.filter((name, i) => names.indexOf(name) !== i).map((name) => `templates: "${name}" stands twice`),
  ]
}

function referenceProblems(template: string | { readonly name: unknown }): readonly string[] {
  if (typeof template === 'object') {
    return templateProblems(template).map((problem) => `templates: "${String(template.name)}": ${problem}`)
  }
  const known = [...BUILT_IN_TEMPLATES.keys()].join(', ')
  return BUILT_IN_TEMPLATES.has(template)
    ? []
    : [`templates: "${template}" is none of ${known}; one of your own stands there as its definition`]
}
