// One line for one instance, as text or as JSON.

import type { FieldValue } from '../../adapter-kit/instance.ts'
import type { LogEntryInstance, MetricInstance } from '../../adapter-kit/templates.ts'
import { fieldToJson, type Json, valueToText } from '../../adapter-kit/value-text.ts'
import { Timestamp } from '../../kernel/time.ts'
import type { Level } from './config.ts'

interface Line {
  readonly level: Level
  readonly time: string
  readonly instance: string
  readonly values: Values
}

type Values = Readonly<Record<string, Json>>

/** Keys of a line that say what they always say: what the config gives such a name stands under `variables`, one level down. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'instance', 'monitoredResource', 'variables'])
const RESERVED_IN_METRICS: ReadonlySet<string> = new Set([...RESERVED, 'value'])

const USUAL_LEVELS: Readonly<Record<string, Level>> = {
  INFORMATIONAL: 'INFO',
  INFO: 'INFO',
  NOTICE: 'INFO',
  WARN: 'WARNING',
  WARNING: 'WARNING',
  ERR: 'ERROR',
  ERROR: 'ERROR',
  CRITICAL: 'ERROR',
  FATAL: 'ERROR',
}

/** The level of a severity: as the config says, else by its usual name, else INFO. */
export function levelOf(severity: string | undefined, configured: Readonly<Record<string, Level>>): Level {
  const text = severity ?? ''
  return Object.hasOwn(configured, text) ? (configured[text] ?? 'INFO') : (USUAL_LEVELS[text.toUpperCase()] ?? 'INFO')
}

/**
 * @param now stands in for a log entry's timestamp, in milliseconds since the epoch, where there is none: absent, or the
 *   zero time that CEL reads an absent attribute as.
 */
export function logLine({ name, fields }: LogEntryInstance, level: Level, now: number): Line {
  const { timestamp, variables } = fields
  const given = timestamp instanceof Timestamp && timestamp.epochNanos === 0n ? undefined : timestamp
  const time = given === undefined ? new Date(now).toISOString() : valueToText(given)
  return { level, time, instance: name, values: { ...named(variables, RESERVED), ...resource(fields) } }
}

export function metricLine({ name, fields }: MetricInstance, level: Level, now: number): Line {
  const values = {
    ...(fields.value === undefined ? {} : { value: fieldToJson(fields.value) }),
    ...named(fields.dimensions, RESERVED_IN_METRICS),
  }
  return { level, time: new Date(now).toISOString(), instance: name, values: { ...values, ...resource(fields) } }
}

/** The line's text with its end. Values never spread over lines: JSON escapes what would. */
export function renderLine({ level, time, instance, values }: Line, asJson: boolean): string {
  const name = level.toLowerCase()
  if (asJson) return `${JSON.stringify({ ...values, level: name, time, instance })}\n`
  return `${time}\t${name}\t${instance}\t${JSON.stringify(values)}\n`
}

/** Values by the names of the config, without touching what is reserved. */
function named(values: Readonly<Record<string, FieldValue>> | undefined, reserved: ReadonlySet<string>): Values {
  const all = record(values)
  const taken = Object.entries(all).filter(([name]) => reserved.has(name))
  if (taken.length === 0) return all
  const free = Object.entries(all).filter(([name]) => !reserved.has(name))
  return { ...Object.fromEntries(free), variables: Object.fromEntries(taken) }
}

function record(values: Readonly<Record<string, FieldValue>> | undefined): Values {
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [key, fieldToJson(value)]))
}

function resource(fields: {
  readonly monitoredResourceType?: string
  readonly monitoredResourceDimensions?: Readonly<Record<string, FieldValue>>
}): Values {
  const { monitoredResourceType: type, monitoredResourceDimensions: dimensions } = fields
  if (type === undefined || type === '') return {}
  return { monitoredResource: { type, dimensions: record(dimensions) } }
}
