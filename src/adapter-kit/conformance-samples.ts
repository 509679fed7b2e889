// Sample instances for the conformance suite: every field of a template, filled with a plausible value of its type.

import { Duration, Timestamp } from '../kernel/time.ts'
import type { AttributeValue } from '../kernel/value.ts'
import type { FieldValue } from './instance.ts'
import type { FieldType, TemplateDefinition } from './template.ts'

const VALUES: Readonly<Record<Extract<FieldType, string>, () => FieldValue>> = {
  STRING: () => 'sample',
  INT64: () => 7n,
  DOUBLE: () => 1.5,
  BOOL: () => true,
  TIMESTAMP: () => Timestamp.fromMillis(1_700_000_000_000),
  IP_ADDRESS: () => Uint8Array.of(10, 0, 0, 1),
  EMAIL_ADDRESS: () => 'someone@example.com',
  URI: () => 'http://example.com/',
  DNS_NAME: () => 'example.com',
  DURATION: () => Duration.fromMillis(20),
  STRING_MAP: () => new Map([['key', 'text']]),
  VALUE: () => 'sample',
  VALUE_MAP: (): Readonly<Record<string, AttributeValue>> => ({
    text: 'sample',
    count: 3n,
    ratio: 0.5,
    flag: false,
    address: Uint8Array.of(10, 0, 0, 2),
    at: Timestamp.fromMillis(1_700_000_000_000),
    took: Duration.fromMillis(15),
    labels: new Map([['app', 'web']]),
  }),
}

/** All fields of a template, filled. */
export function sampleFields(template: TemplateDefinition): Readonly<Record<string, FieldValue>> {
  return fill(template.fields)
}

function fill(fields: Readonly<Record<string, FieldType>>): Readonly<Record<string, FieldValue>> {
  const entries = Object.entries(fields).map(([name, type]) => [name, sampleOf(type)] as const)
  return Object.fromEntries(entries)
}

function sampleOf(type: FieldType): FieldValue {
  return typeof type === 'string' ? VALUES[type]() : fill(type.message)
}
