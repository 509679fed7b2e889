// Values of the oracle's expressions, or why there is none: something absent, a failure, or an attribute that could not be
// found out.

import { Duration } from '../../../src/kernel/time.ts'

export const ABSENT = Symbol('absent')
export const FAILED = Symbol('failed')

/** Stands for the codes of calls that failed. */
export const CALL_FAILED = -1
export const INVALID_ARGUMENT = 3
export const PERMISSION_DENIED = 7

/** An attribute that a generator should have given, and failed to; `code` is that of its failure. */
export class Unknown {
  readonly code: number

  constructor(code: number) {
    this.code = code
  }
}

export type Value = string | bigint | boolean | Duration | Uint8Array | ReadonlyMap<string, string>
/** Why there is no value. */
export type Lack = typeof ABSENT | typeof FAILED | Unknown
export type Result = Value | Lack

/** What an evaluation reads of: a request, with what stands beside it. */
export interface Readable {
  get(name: string): unknown
  whyUnknown?(name: string): Unknown | undefined
}

export function isValue(result: Result): result is Value {
  return result !== ABSENT && result !== FAILED && !(result instanceof Unknown)
}

export function isLack(result: Result): result is Lack {
  return !isValue(result)
}

/** Of what has no value, the worst: what is unknown before what fails, before what is absent; of two alike the first. */
export function worst(lacks: readonly Lack[]): Lack | undefined {
  return lacks.find((lack) => lack instanceof Unknown) ?? lacks.find((lack) => lack === FAILED) ?? lacks[0]
}

/** A value with its type, for equality: two values are the same exactly if their texts are. */
export function describe(value: unknown): string {
  if (value === undefined) return 'absent'
  if (value instanceof Duration) return `duration ${value.nanos}`
  if (value instanceof Uint8Array) return `address ${[...value].join('.')}`
  if (typeof value === 'object' && value !== null && 'entries' in value) {
    const entries = [...(value as ReadonlyMap<string, string>).entries()].map((entry) => JSON.stringify(entry))
    return `map ${entries.sort().join()}`
  }
  const plain = value as string | bigint | boolean
  return `${typeof plain} ${String(plain)}`
}

/** The address in dotted notation as `ip()` gives it: in the sixteen bytes of IPv6. The generator makes no other. */
export function addressOf(text: string): Uint8Array | typeof FAILED {
  const bytes = text.split('.').map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256))
  return bytes.length === 4 && Math.max(...bytes) < 256 ? Uint8Array.from([...MAPPED, ...bytes]) : FAILED
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]

/** Equality; an address is the same in four bytes and in sixteen. */
export function isSame(left: Value, right: Value): boolean {
  const plain = (value: Value) =>
    value instanceof Uint8Array && value.length === 16 ? value.subarray(MAPPED.length) : value
  return describe(plain(left)) === describe(plain(right))
}
