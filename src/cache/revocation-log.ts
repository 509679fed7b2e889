// The log of revocations in Redis: the scripts that write and follow it, and what of their replies and of the log's records
// is believed.

import { IntermixError } from '../kernel/errors.ts'
import { parseJson } from '../kernel/parse-json.ts'
import { defineScript } from '../redis/scripts.ts'
import type { Revocation, RevocationTarget } from '../kernel/revocation.ts'
import type { LateCallers } from './revocation-callers.ts'

export interface SyncReply {
  readonly generation: string
  readonly sequence: number
  readonly firstKept: number
  /** The next ones, in order; `RECORDS_AT_ONCE` of them where there may be more. */
  readonly records: readonly string[]
  /** Which run of which server answered; empty where it does not tell. */
  readonly run: string
  /** What `POLL` finds for as long as nothing has changed. */
  readonly head: string
  /** How many nodes follow the log. */
  readonly nodes: number
  /** By the clock of the Redis server, in ms. */
  readonly now: number
}

/** What is told who signs, where a new generation is to begin and nobody has signed its name. */
export interface LostReply {
  readonly isLost: true
  /** By the clock of the Redis server, in ms. */
  readonly now: number
  /** In whose place it begins; empty for none. */
  readonly head: string
}

export interface Appended {
  readonly generation: string
  readonly sequence: number
  /** When it was recorded and when the generation began, in ms on the Redis server's clock. */
  readonly recordedAt: number
  readonly generationAt: number
  /** What stands at the head of the log now. */
  readonly head: string
}

/** Who has applied a revocation. Of each kind of nodes the first are named, at most as many as were asked for. */
export interface Uptake {
  readonly counts: Readonly<Record<'confirmed' | 'unconfirmed' | 'silent' | 'callers', number>>
  /** It holds on them. */
  readonly confirmed: readonly string[]
  /** Nodes that have been alive within the last seconds and have not confirmed in time. */
  readonly unconfirmed: readonly string[]
  /** Nodes that were not heard for some seconds and not waited for: dead most likely, or out of touch with Redis. */
  readonly silent: readonly string[]
  /** Callers of nodes that have confirmed, which keep answers and have not confirmed in time: `name (at node n)`. */
  readonly callers: readonly string[]
}

export const RECORDS_AT_ONCE = 1_000

/** The keys of a log, in one slot. */
export function revocationKeys(prefix: string) {
  const tag = `{${prefix}:revocations}`
  return {
    head: `${tag}:h`,
    log: `${tag}:z`,
    applied: `${tag}:a`,
    heard: `${tag}:n`,
    reunion: `${tag}:r`,
    late: `${tag}:c`,
  }
}

/** `undefined` where the record is signed for another place than the one that it would have. */
export const APPEND = defineScript<Appended | undefined>({
  name: 'revocation-append',
  keys: 5,
  reply(raw) {
    const [generation, sequence, recordedAt, generationAt, head] = listOf(raw)
    if (sequence === 0) return undefined
    const times = { recordedAt: count(recordedAt), generationAt: count(generationAt) }
    return { generation: text(generation), sequence: count(sequence), ...times, head: text(head) }
  },
})

export const SYNC = defineScript<SyncReply | LostReply>({
  name: 'revocation-sync',
  keys: 6,
  reply(raw) {
    const [generation, sequence, firstKept, records, run, head, nodes, now] = listOf(raw)
    if (generation === '') return { isLost: true, now: count(now), head: text(head) }
    return {
      generation: text(generation),
      sequence: count(sequence),
      firstKept: count(firstKept),
      records: listOf(records).map(text),
      run: run === '-' ? '' : text(run),
      head: text(head),
      nodes: count(nodes),
      now: count(now),
    }
  },
})

export const UPTAKE = defineScript<Uptake>({
  name: 'revocation-uptake',
  keys: 5,
  reply(raw) {
    const [numbers, ...names] = listOf(raw).map(listOf)
    const [confirmed, unconfirmed, silent, late] = (numbers ?? []).map(count) as [number, number, number, number]
    const [those = [], missing = [], unheard = [], callers = []] = names.map((list) => list.map(text))
    return {
      counts: { confirmed, unconfirmed, silent, callers: late },
      confirmed: those,
      unconfirmed: missing,
      silent: unheard,
      callers: readCallers(callers),
    }
  },
})

/** Callers that are late, as the log has them. */
export function lateText({ lacks, count: all, names }: LateCallers): string {
  return `${lacks} ${all} ${JSON.stringify(names)}`
}

/** Names of callers and the node that they follow. */
export function callersAt(node: string, names: readonly string[]): readonly string[] {
  return names.map((name) => `${name} (at node ${node})`)
}

/** @param told node and names in turns */
function readCallers(told: readonly string[]): readonly string[] {
  const callers: string[] = []
  for (let at = 0; at + 1 < told.length; at += 2) {
    const names = parseJson(told[at + 1] ?? '')
    if (Array.isArray(names)) callers.push(...callersAt(told[at] ?? '', names.map(String)))
  }
  return callers
}

/** A record with its mark, which tells whether Redis has the same one under its number; `undefined` for anything else. */
export function readRecord(record: string, last: number): (Revocation & { readonly mark: string }) | undefined {
  const [, sequence, mark = '', target = ''] = /^(\d{1,15}) (\S+) (.+)$/s.exec(record) ?? []
  if (sequence === undefined || Number(sequence) > last) return undefined
  try {
    return { sequence: Number(sequence), mark, target: readTarget(parseJson(target)) }
  } catch {
    return undefined
  }
}

/** Reads a target from outside. @throws IntermixError INVALID_REQUEST that says what is allowed. */
export function readTarget(value: unknown): RevocationTarget {
  const { kind, handler, name, key, value: wanted } = (value ?? {}) as Record<string, unknown>
  if (kind === 'all') return { kind }
  if (kind === 'handler' && typeof handler === 'string' && handler !== '') return { kind, handler }
  if (kind === 'attribute' && typeof name === 'string' && name !== '' && typeof wanted === 'string') {
    return { kind, name, key: typeof key === 'string' ? key : undefined, value: wanted }
  }
  throw new IntermixError(
    'INVALID_REQUEST',
    'a revocation is {"kind":"all"}, {"kind":"handler","handler":"name.handler.namespace"} or ' +
      '{"kind":"attribute","name":"source.principal","value":"…"} (with "key" for one key of a map attribute)',
  )
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[]
  throw unexpected()
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  throw unexpected()
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw unexpected()
}

function unexpected(): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of a script of the log of revocations')
}
