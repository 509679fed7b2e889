// What the simulated backends say: any function will do that uses all it is given.

import type { Value } from './oracle/values.ts'
import { describe } from './oracle/values.ts'
import { NAMESPACES } from './vocabulary.ts'

export interface SimulatedVerdict {
  readonly code: number
  readonly message: string
  readonly validForMs: number
  readonly validUses: number
  readonly directResponse:
    | { readonly code: number; readonly body: string; readonly headers: Readonly<Record<string, string>> }
    | undefined
  /** The text that the backend puts out beside its verdict. */
  readonly owner: string | undefined
}

/** The longest that a verdict is valid. */
const VALID_MS = 5_000

/** From this on nobody means to bound uses. */
export const UNBOUNDED_USES = 10_000

function hashOf(...parts: readonly unknown[]): number {
  const text = JSON.stringify(parts)
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0x5bd1e995)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** One of some things, by a part of the hash that nothing else uses. */
function oneOf<T>(hash: number, shift: number, things: readonly [T, ...T[]]): T {
  return things[(hash >>> shift) % things.length] as T
}

/** What a handler says of an instance under a version of the world. */
export function verdictAt(salt: number, instance: string, value: unknown, version: number): SimulatedVerdict {
  const hash = hashOf(salt, instance, describe(value), version)
  const isDenied = oneOf(hash, 0, [true, false])
  const direct = { code: 302, body: `see ${hash % 7}`, headers: { location: `/${hash % 5}` } }
  return {
    code: isDenied ? oneOf(hash, 3, [7, 7, 16, 5]) : 0,
    message: isDenied ? `no ${(hash >>> 4) % 1000}` : '',
    validForMs: oneOf(hash, 7, [VALID_MS, VALID_MS, 1_000, 0]),
    validUses: oneOf(hash, 11, [UNBOUNDED_USES, UNBOUNDED_USES, UNBOUNDED_USES, 20, 3, 1]),
    directResponse: isDenied ? oneOf(hash, 14, [undefined, undefined, direct]) : undefined,
    owner: oneOf(hash, 17, [undefined, '', 'eve', 'bob']),
  }
}

/** What a generator puts out for its inputs, by field in snake_case. */
export function generatedBy(salt: number, inputs: ReadonlyMap<string, unknown>): ReadonlyMap<string, Value> {
  const hash = hashOf('generated', salt, describeAll(inputs))
  const output = new Map<string, Value>()
  const put = (field: string, value: Value | undefined) => {
    if (value !== undefined) output.set(field, value)
  }
  put('source_pod_name', oneOf(hash, 2, [undefined, 'x', 'y']))
  put('source_namespace', oneOf(hash, 5, [undefined, ...NAMESPACES]))
  put('source_pod_ip', oneOf(hash, 9, [undefined, Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2)]))
  put('source_labels', oneOf(hash, 13, [undefined, new Map([['k', 'x']]), new Map([['constructor', 'y']])]))
  return output
}

/** What a quota grants of an amount. */
export function quotaOf(
  salt: number,
  dimensions: ReadonlyMap<string, unknown>,
  { amount, bestEffort }: { readonly amount: number; readonly bestEffort: boolean },
): { readonly code: number; readonly granted: number; readonly validForMs: number } {
  const hash = hashOf('quota', salt, describeAll(dimensions))
  const granted = oneOf(hash, 3, [amount, amount, bestEffort ? Math.floor(amount / 2) : 0])
  return { code: granted < amount && granted === 0 ? 8 : 0, granted, validForMs: oneOf(hash, 7, [0, 1_000, 5_000]) }
}

/** How a quota stands, as it tells those who are to be told; `undefined` where it does not say. */
export function standingOf(
  salt: number,
  dimensions: ReadonlyMap<string, unknown>,
  isRefused: boolean,
): Standing | undefined {
  const hash = hashOf('standing', salt, describeAll(dimensions))
  if (oneOf(hash, 2, [true, false, false])) return undefined
  return {
    amount: oneOf(hash, 5, [1, 10]),
    windowMs: oneOf(hash, 8, [undefined, 60_000]),
    left: oneOf(hash, 11, [-1, 0, 3]),
    resetMs: oneOf(hash, 14, [0, 1_001, 5_000]),
    retryAfterMs: isRefused ? oneOf(hash, 17, [1, 2_500, Number.POSITIVE_INFINITY]) : 0,
  }
}

/** How much a counter of a handler with windows grants in each, and whether each use is to be charged when it comes. */
export function windowOf(
  salt: number,
  instance: string,
  dimensions: ReadonlyMap<string, unknown>,
): { readonly limit: number; readonly windowMs: number; readonly isExact: boolean } {
  const hash = hashOf('window', salt, instance, describeAll(dimensions))
  return {
    limit: oneOf(hash, 3, [10, 100, 1_000]),
    windowMs: oneOf(hash, 8, [2_000, 5_000, 20_000]),
    isExact: oneOf(hash, 14, [true, false, false, false, false]),
  }
}

export interface Standing {
  readonly amount: number
  readonly windowMs: number | undefined
  readonly left: number
  readonly resetMs: number
  readonly retryAfterMs: number
  readonly usableMs?: number
}

/** A charge in a text; the instance by its full name. */
export function chargeText(instance: string, amount: number, dimensions: ReadonlyMap<string, unknown>): string {
  return `${instance} ${amount} ${describeAll(dimensions).join(' ')}`
}

function describeAll(values: ReadonlyMap<string, unknown>): readonly string[] {
  return [...values].map(([name, value]) => `${name}=${describe(value)}`).sort()
}
