// What both dialects find doubtful about expressions that compile, in the same words.

import type { ExpressionDoubt } from './compiled.ts'

/** A place of the source, as offsets. */
export interface Place {
  readonly start: number
  readonly end: number
}

/** Maps of headers, whose names are in lower case whatever door they come through. */
const HEADER_MAPS: ReadonlySet<string> = new Set(['request.headers', 'response.headers'])

export function doubtAt({ start, end }: Place, kind: ExpressionDoubt['kind'], message: string): ExpressionDoubt {
  return { kind, message, column: start + 1, length: Math.max(1, end - start) }
}

/** A part that can only fail. */
export function alwaysFails(place: Place, part: string, reason: string): ExpressionDoubt {
  return doubtAt(place, 'always-fails', `${part} can only fail: ${reason}`)
}

/** A part that fails for some of the values that a caller can send. */
export function mayFail(place: Place, part: string, reason: string): ExpressionDoubt {
  return doubtAt(place, 'may-fail', `${part} fails where ${reason}`)
}

/** A key of a map of headers that is not in lower case. */
export function unmatchableKey(place: Place, map: string, key: string): ExpressionDoubt | undefined {
  const lower = key.toLowerCase()
  if (!HEADER_MAPS.has(map) || key === lower) return undefined
  const message = `header names are in lower case, so the key "${key}" never matches: write "${lower}"`
  return doubtAt(place, 'unmatchable-key', message)
}
