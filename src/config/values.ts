// Reading single values of the config: durations, numbers and choices.

import { suggest } from '../kernel/suggest.ts'
import { parseDuration } from '../kernel/time.ts'
import type { ScalarNode } from './config-node.ts'
import type { ProblemList } from './problem-list.ts'

/** A duration (`200ms`, `1m30s`) in milliseconds, within bounds. @returns `undefined` after reporting. */
export function readDuration(
  node: ScalarNode,
  bounds: { readonly minMs: number; readonly maxMs: number },
  problems: ProblemList,
): number | undefined {
  const ms = parseDuration(node.text)?.toMillis()
  if (ms === undefined) {
    const message = `"${node.text}" is not a duration: write a number and a unit, such as 200ms, 5s or 1m30s.`
    problems.error(node, 'invalid-value', message)
    return undefined
  }
  if (ms >= bounds.minMs && ms <= bounds.maxMs) return ms
  const message = `"${node.text}" is out of range: from ${bounds.minMs}ms to ${bounds.maxMs}ms.`
  problems.error(node, 'invalid-value', message)
  return undefined
}

/** A number within bounds. @returns `undefined` after reporting. */
export function readNumber(
  node: ScalarNode,
  bounds: { readonly min: number; readonly max: number; readonly integer?: boolean },
  problems: ProblemList,
): number | undefined {
  const value = node.text.trim() === '' ? Number.NaN : Number(node.text)
  const whole = bounds.integer !== true || Number.isInteger(value)
  if (whole && value >= bounds.min && value <= bounds.max) return value
  const what = bounds.integer === true ? 'a whole number' : 'a number'
  problems.error(node, 'invalid-value', `"${node.text}" must be ${what} from ${bounds.min} to ${bounds.max}.`)
  return undefined
}

/** One of the given words. @returns `undefined` after reporting. */
export function readChoice<T extends string>(
  node: ScalarNode,
  choices: readonly T[],
  problems: ProblemList,
): T | undefined {
  const found = choices.find((choice) => choice === node.text)
  if (found !== undefined) return found
  const message = `"${node.text}" must be one of ${choices.join(', ')}.${suggest(node.text, choices)}`
  problems.error(node, 'invalid-value', message.replace(/ Known: .*$/, ''))
  return undefined
}
