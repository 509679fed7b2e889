// How an Istio 1.4 proxy learns from an answer and recognises a later request: written from the description of its
// behaviour, faults included, to prove that what we send keeps it from reusing an answer wrongly.

import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../../../src/kernel/value.ts'
import { GLOBAL_WORDS } from '../../../src/wire/mixer/dictionary.ts'
import type { Attributes } from './compress.ts'

export interface WireMatch {
  readonly name: number
  readonly mapKey: number
  readonly condition: 'ABSENCE' | 'EXACT' | 'REGEX'
}

export interface WireReferenced {
  readonly words: readonly string[]
  readonly matches: readonly WireMatch[]
}

interface Learnt {
  readonly name: string
  readonly key: string
  readonly condition: 'ABSENCE' | 'EXACT'
}

/** What the client keeps of the referenced attributes; undefined where it refuses to cache. */
export function fill(request: Attributes, referenced: WireReferenced): readonly Learnt[] | undefined {
  const learnt: Learnt[] = []
  for (const match of referenced.matches) {
    const name = wordOf(match.name, referenced.words)
    if (name === undefined || match.condition === 'REGEX') return undefined
    let key: string | undefined = ''
    // The client reads the map key only where the attribute is a map in the request at hand; unset reads as word 0.
    if (mapOf(request[name]) !== undefined) key = wordOf(match.mapKey, referenced.words)
    if (key === undefined) return undefined
    learnt.push({ name, key, condition: match.condition })
  }
  return learnt.toSorted((a, b) => compare(a.name, b.name) || compare(a.key, b.key))
}

/** The cache key of a request under what was learnt; undefined where it does not match. */
export function signature(request: Attributes, learnt: readonly Learnt[]): string | undefined {
  let text = ''
  for (const { name, key, condition } of learnt) {
    const value = request[name]
    const map = mapOf(value)
    if (condition === 'ABSENCE') {
      if (value !== undefined && (map === undefined || map.get(key) !== undefined)) return undefined
    } else if (value === undefined) return undefined
    else if (map === undefined) text += `${name}\0${rawValue(value)}\0`
    else {
      const entry = map.get(key)
      if (entry === undefined) return undefined
      text += `${name}\0${key}\0${entry}\0`
    }
  }
  return text
}

/** Whether the client would answer `later` with what it was told for `first`, uses and time left aside. */
export function wouldReuse(first: Attributes, referenced: WireReferenced, later: Attributes): boolean {
  const learnt = fill(first, referenced)
  if (learnt === undefined) return false
  const stored = signature(first, learnt)
  return stored !== undefined && stored === signature(later, learnt)
}

function wordOf(index: number, words: readonly string[]): string | undefined {
  return index >= 0 ? GLOBAL_WORDS[index] : words[-index - 1]
}

function mapOf(value: AttributeValue | undefined): StringMap | undefined {
  return value !== undefined && isStringMap(value) ? value : undefined
}

function rawValue(value: AttributeValue): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (value instanceof Timestamp) return String(value.epochNanos)
  if (value instanceof Duration) return String(value.nanos)
  return typeof value === 'object' ? '' : String(value)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
