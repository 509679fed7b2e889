// The four kinds of lists, each as a membership test whose cost does not grow with hostile input.

import { parse as parseYaml } from 'yaml'
import { valueToText } from '../../adapter-kit/value-text.ts'
import { foldV4, parseIp } from '../../kernel/ip-address.ts'
import { parseIpRange } from '../../kernel/ip-range.ts'
import { PatternSet } from './pattern-set.ts'

export const ENTRY_TYPES = ['STRINGS', 'CASE_INSENSITIVE_STRINGS', 'IP_ADDRESSES', 'REGEX'] as const
export type EntryType = (typeof ENTRY_TYPES)[number]

/** A compiled list. `has` throws an `Error` where a list of addresses is asked about what is none. */
export interface EntryList {
  readonly size: number
  has(value: string | Uint8Array): boolean
}

/** Compiles entries. @throws Error naming the first entry that is not of the type. */
export function compileEntries(type: EntryType, entries: readonly string[]): EntryList {
  switch (type) {
    case 'STRINGS':
      return stringList(entries, (text) => text)
    case 'CASE_INSENSITIVE_STRINGS':
      return stringList(entries, (text) => text.toUpperCase())
    case 'IP_ADDRESSES':
      return addressList(entries)
    case 'REGEX': {
      const patterns = new PatternSet(entries)
      return { size: patterns.size, has: (value) => patterns.matches(valueToText(value)) }
    }
  }
}

/** Says what is wrong with an entry; `undefined` where it is right. */
export function entryProblem(type: EntryType, entry: string): string | undefined {
  try {
    compileEntries(type, [entry])
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/**
 * Reads a provider's answer: one entry a line; empty lines and lines that begin with `#` are left out (except in regular
 * expressions, where `#` may begin one). Lists of addresses may also be Mixer's YAML, `whitelist: [10.0.0.0/8]`.
 */
export function readEntries(type: EntryType, text: string): string[] {
  if (type === 'IP_ADDRESSES' && /^\s*(?:\{|whitelist\s*:)/m.test(text)) return readYamlList(text)
  return text
    .split('\n')
    .map((line) => (type === 'REGEX' ? line.replace(/\r$/, '') : line.trim()))
    .filter((line) => line !== '' && (type === 'REGEX' || !line.startsWith('#')))
}

function readYamlList(text: string): string[] {
  const document: unknown = parseYaml(text, { maxAliasCount: 0 })
  const list =
    typeof document === 'object' && document !== null && 'whitelist' in document ? document.whitelist : undefined
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === 'string')) {
    throw new Error('the list must hold "whitelist", a list of addresses as strings')
  }
  return list
}

function stringList(entries: readonly string[], normalise: (text: string) => string): EntryList {
  const set = new Set(entries.map(normalise))
  return {
    size: set.size,
    has: (value) => set.has(normalise(valueToText(value))),
  }
}

// Networks by family and prefix length: a look-up masks the address once per length in use, however long the list is.
function addressList(entries: readonly string[]): EntryList {
  const networks = new Map<string, { bytes: number; bits: number; keys: Set<string> }>()
  for (const entry of entries) {
    const { address, bits } = parseNetwork(entry)
    const id = `${address.length}/${bits}`
    const group = networks.get(id) ?? { bytes: address.length, bits, keys: new Set<string>() }
    group.keys.add(maskedKey(address, bits))
    networks.set(id, group)
  }
  const groups = [...networks.values()]
  return {
    size: groups.reduce((sum, group) => sum + group.keys.size, 0),
    has: (value) => {
      const parsed = typeof value === 'string' ? parseIp(value) : value
      if (parsed === undefined) throw new Error(`${String(value)} is not a valid IP address`)
      const address = foldV4(parsed)
      return groups.some((group) => group.bytes === address.length && group.keys.has(maskedKey(address, group.bits)))
    },
  }
}

function parseNetwork(entry: string): { address: Uint8Array; bits: number } {
  const range = parseIpRange(entry)
  const address = range === undefined ? undefined : parseIp(range.address)
  if (range === undefined || address === undefined) {
    throw new Error(`"${entry}" is not an IP address or a network such as 10.0.0.0/8 or 2001:db8::/32`)
  }
  const { prefixLength: bits } = range
  const folded = foldV4(address)
  if (folded.length === address.length) return { address, bits }
  // A mapped network that is wider than the mapping prefix covers more than IPv4: it stays IPv6.
  return bits < 96 ? { address, bits } : { address: folded, bits: bits - 96 }
}

function maskedKey(address: Uint8Array, bits: number): string {
  let key = ''
  for (let i = 0, left = bits; i < address.length && left > 0; i++, left -= 8) {
    const byte = address[i] ?? 0
    key += String.fromCharCode(left >= 8 ? byte : byte & (0xff << (8 - left)))
  }
  return key
}
