// Names: of the counter of a descriptor, and of its limit in metrics.

import { hash } from 'node:crypto'
import type { CounterName } from '../../adapter-kit/limits.ts'
import type { DescriptorEntry, RateUnit } from '../../kernel/rate-limit.ts'
import type { ConfiguredLimit } from './domain.ts'

/** Longer keys end in digests: limits take 256 characters. */
const LONGEST = 200
const LONGEST_DOMAIN = 100
const MARKS = /[|=%#]/g

/**
 * The key of a counter: the domain, what the descriptor says, and the unit, so that windows of two lengths never share a
 * counter. Marks within are escaped: no caller can name the counter of another descriptor.
 */
export function counterKey(
  domain: string,
  entries: readonly DescriptorEntry[],
  unit: RateUnit,
  limit?: ConfiguredLimit,
): string {
  const start = domainKeys(domain)
  let key = ''
  for (let at = 0; at < entries.length; at++) {
    const { key: name, value } = entries[at] as DescriptorEntry
    const level = limit?.levels[at]
    if (at > 0) key += '|'
    key += level?.isShared === true ? `${plain(name)}*${plain(level.value)}` : `${plain(name)}=${plain(value)}`
  }
  key += `#${unit}`
  return start + (start.length + key.length <= LONGEST ? key : digest(key))
}

/** What people call the same counter. */
export function counterName(domain: string, entries: readonly DescriptorEntry[], limit?: ConfiguredLimit): CounterName {
  const values = entries.map(({ key, value }, at) => {
    const level = limit?.levels[at]
    return [key, level?.isShared === true ? level.value : value] as const
  })
  return { limit: domain, values }
}

/** What the keys of all counters of a domain begin with. */
export function domainKeys(domain: string): string {
  const name = plain(domain)
  return `${name.length <= LONGEST_DOMAIN ? name : digest(name)}|`
}

/** What metrics call the limit: as it is configured, or with what came in descriptors where the config asks for that. */
export function limitName({ levels, named }: ConfiguredLimit, entries: readonly DescriptorEntry[]): string {
  return levels
    .map(({ key, value, isShared, isValueNamed }, at) => {
      const isAsItCame = !isShared && (named === 'detailed' || (isValueNamed && named === 'values'))
      const text = isAsItCame ? (entries[at]?.value ?? '') : value
      return text === '' ? key : `${key}_${text}`
    })
    .join('.')
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url')
}

function plain(text: string): string {
  MARKS.lastIndex = 0
  return MARKS.test(text) ? text.replaceAll(MARKS, escaped) : text
}

function escaped(mark: string): string {
  return `%${mark.charCodeAt(0).toString(16)}`
}
