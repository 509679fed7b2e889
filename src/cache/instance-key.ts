// The key of one handler's verdict on one instance. What rules led to the question does not matter, so the verdict is
// shared by all rules, nodes and config versions in which the handler itself is the same.

import { hash } from 'node:crypto'
import type { FieldValue, Instance } from '../adapter-kit/instance.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import { isStringMap } from '../kernel/value.ts'
import { canonicalText, canonicalValue } from './canonical-value.ts'

/**
 * SHA-256 (base64url) over the handler's digest and the instance: its name, template and every field with its type.
 * @param handlerDigest changes with anything in the config that can change the handler's answers
 */
export function instanceKey(handlerDigest: string, instance: Instance): string {
  const text = `${handlerDigest}|${canonicalText(instance.name)}${canonicalText(instance.template)}${fields(instance.fields)}`
  return hash('sha256', text.isWellFormed() ? text : codeUnits(text), 'base64url')
}

/**
 * The bytes of a text that is not well-formed: as UTF-8, all halves of surrogate pairs would be the same U+FFFD. Doors refuse
 * such text, but expressions and adapters can make it. No UTF-8 text begins with 0xff.
 */
function codeUnits(text: string): Buffer {
  return Buffer.concat([Buffer.of(0xff), Buffer.from(text, 'utf16le')])
}

/** Canonical text of a filled field; absent fields have none of their own. */
export function canonicalField(value: FieldValue): string {
  if (typeof value !== 'object') return canonicalValue(value)
  if (value instanceof Uint8Array || value instanceof Timestamp || value instanceof Duration)
    return canonicalValue(value)
  if (isStringMap(value as never) && typeof (value as { entries: unknown }).entries === 'function') {
    return canonicalValue(value as never)
  }
  return fields(value as Readonly<Record<string, FieldValue>>)
}

function fields(record: Readonly<Record<string, FieldValue>>): string {
  const names = Object.keys(record).sort()
  let text = `o${names.length}:`
  for (const name of names) {
    const value = record[name]
    if (value !== undefined) text += canonicalText(name) + canonicalField(value)
  }
  return text
}
