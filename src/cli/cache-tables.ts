// Caches that share a memory, as tables.

import type { CallerSize } from '../cache/tuning/caller-sizes.ts'
import type { TuningView } from '../cache/tuning/tuning-view.ts'
import type { HandlerValidity } from '../cache/tuning/validity-advice.ts'
import { table } from './table.ts'

const MOST_CALLERS = 20

/** What a process tells of its caches. */
export interface NodeTuning {
  readonly memory?: TuningView | undefined
  readonly validity?: readonly HandlerValidity[]
  /** Callers that keep answers, as they said last what they would find at other sizes. */
  readonly callers?: readonly CallerSize[]
}

/** The lines of a process. @param name empty where there is only one */
export function cacheTables(
  name: string,
  { memory, validity = [], callers = [] }: NodeTuning,
  hasCurves: boolean,
): string[] {
  const of = name === '' ? '' : ` of ${name}`
  const rest = [...validityTable(of, validity), ...callersTable(of, callers)]
  if (memory === undefined) return [`the sizes of the caches${of} are fixed`, ...rest]
  const { moves, decision, givenBackBytes } = memory
  const given =
    givenBackBytes > 0 ? `; ${mib(givenBackBytes)} MiB given back, since the process has little memory left` : ''
  return [
    ...table(
      `Memory${of}: ${mib(memory.memoryBytes)} MiB, of which ${mib(memory.dividedBytes)} are divided; moved ${moves.move + moves.shrink} times, back ${moves.back} times; now: ${decision}${given}`,
      [
        'CACHE',
        'MIB',
        'OF',
        'RECOMMENDED',
        'LOOK-UPS/S',
        'HITS %',
        'HITS/S PER MIB',
        'MISS MS',
        'CALLS SAVED',
        'SAVED S',
        'SAVED MONEY',
      ],
      memory.parts.map((part) => [
        part.name,
        mib(part.bytes),
        mib(part.maxBytes),
        mib(part.recommendedBytes),
        rounded(part.lookupsPerSecond, 1),
        rounded(100 * part.hitRatio, 1),
        rounded(part.hitsPerMib, 2),
        rounded(part.missMs, 2),
        Math.round(part.saved.calls),
        Math.round(part.saved.seconds),
        part.costPerCall === 0 ? '' : rounded(part.saved.money, 2),
      ]),
    ),
    ...(hasCurves ? memory.parts.flatMap((part) => curveTable(part)) : []),
    ...rest,
  ]
}

function curveTable({ name, curve }: TuningView['parts'][number]): string[] {
  return table(
    `Hits of ${name} by size`,
    ['MIB', 'HITS %', '±'],
    curve.map(({ bytes, hitRatio, band }) => [mib(bytes), rounded(100 * hitRatio, 1), rounded(100 * band, 1)]),
  )
}

function validityTable(of: string, validity: readonly HandlerValidity[]): string[] {
  return table(
    `Validity of verdicts${of}, by how often they were other when they were fetched again`,
    ['HANDLER', 'FETCHED AGAIN', 'CHANGED', 'CHANGES/H', 'VALID S', 'OUTDATED %', 'SUGGESTED S'],
    validity.map((each) => [
      each.name,
      each.refreshed,
      each.changed,
      rounded(each.changesPerHour, 3),
      rounded(each.validForMs / 1_000, 1),
      rounded(100 * each.outdatedShare, 3),
      each.suggestedMs === undefined ? '' : rounded(each.suggestedMs / 1_000, 0),
    ]),
  )
}

/** Those first whose size should change most. */
function callersTable(of: string, callers: readonly CallerSize[]): string[] {
  const change = ({ entries, recommendedEntries }: CallerSize) => Math.abs(Math.log(recommendedEntries / entries))
  return table(
    `Callers${of} that keep answers: ${callers.length}, of which at most ${MOST_CALLERS} are shown`,
    ['CALLER', 'ANSWERS', 'RECOMMENDED', 'HITS %', 'THEN %'],
    callers
      .toSorted((one, two) => change(two) - change(one))
      .slice(0, MOST_CALLERS)
      .map((caller) => [
        caller.name,
        caller.entries,
        caller.recommendedEntries,
        rounded(100 * caller.hitRatio, 1),
        rounded(100 * caller.recommendedHitRatio, 1),
      ]),
  )
}

function mib(bytes: number): number {
  return rounded(bytes / 1024 / 1024, 2)
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
