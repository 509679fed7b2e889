// Reads of what a map's text gives one value to some readers and another to others: they fail, whatever is found there.

import type { StringMap } from '../kernel/value.ts'
import { EvaluationError } from './compiled.ts'

/**
 * The failure of reading the value of an entry; `undefined` where it has one value, or is absent, for everybody.
 * @param part what a caller may be told of the key, which may be a value of the request
 */
export function ambiguousValue(map: StringMap, name: string, key: string, part?: string): EvaluationError | undefined {
  return map.ambiguity?.(key) === undefined ? undefined : failure(entryOf(name, key), part)
}

/** The failure of asking whether there is an entry. Of one that came twice there is no doubt. */
export function ambiguousPresence(
  map: StringMap,
  name: string,
  key: string,
  part?: string,
): EvaluationError | undefined {
  return map.ambiguity?.(key) === 'presence' ? failure(entryOf(name, key), part) : undefined
}

/** The failure of reading all entries. */
export function ambiguousEntries(map: StringMap, name: string): EvaluationError | undefined {
  return map.ambiguity?.() === undefined ? undefined : failure(name, name)
}

/** The failure of going through the keys, or counting them. */
export function ambiguousKeys(map: StringMap, name: string): EvaluationError | undefined {
  return map.ambiguity?.() === 'presence' ? failure(name, name) : undefined
}

function entryOf(name: string, key: string): string {
  return `${name}[${JSON.stringify(key)}]`
}

function failure(what: string, part: string | undefined): EvaluationError {
  return new EvaluationError(`${what} is ambiguous: servers read it differently`, 'ambiguous', part)
}
