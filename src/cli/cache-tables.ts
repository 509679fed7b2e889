// Caches that share a memory, as tables.

import type { TuningView } from '../cache/tuning/tuning-view.ts'
import type { HandlerValidity } from '../cache/tuning/validity-advice.ts'
import { table } from './table.ts'

/** What a process tells of its caches. */
export interface NodeTuning {
  readonly memory?: TuningView | undefined
  readonly validity?: readonly HandlerValidity[]
}

/** The lines of a process. @param name empty where there is only one */
export function cacheTables(name: string, { memory, validity = [] }: NodeTuning, hasCurves: boolean): string[] {
  const of = name === '' ? '' : ` of ${name}`
  if (memory === undefined) return [`the sizes of the caches${of} are fixed`, ...validityTable(of, validity)]
  const { moves, decision } = memory
  return [
    ...table(
      `Memory${of}: ${mib(memory.memoryBytes)} MiB, of which ${mib(memory.dividedBytes)} are divided; moved ${moves.move + moves.shrink} times, back ${moves.back} times; now: ${decision}`,
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
    ...validityTable(of, validity),
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

function mib(bytes: number): number {
  return rounded(bytes / 1024 / 1024, 2)
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
