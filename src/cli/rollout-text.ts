// A rollout as people read it.

import { flipText } from '../rollout/guards/flips.ts'
import type { LogEntry } from '../rollout/log-entry.ts'
import type { RolloutState } from '../rollout/state.ts'
import { shortId, type VersionMeta } from '../rollout/version.ts'
import type { RolloutFacts, RolloutView } from '../rollout/view.ts'
import { table, visible } from './table.ts'

/** Kinds of flips that are shown, with an example of each. */
const SHOWN_FLIPS = 10
/** Characters of an entry of the log: what all guards have seen is ten times as long. */
const MAX_ENTRY = 160

/** Where it stands, a fact a line. */
export function statusText(view: RolloutView): readonly string[] {
  const { phase, stable, previous, rollout, processes, ended, controller } = view
  const [last] = ended
  const rows: [string, string | undefined][] = [
    ['phase', phase],
    ['stable', stable === undefined ? 'none' : shortId(stable)],
    ['before', previous.map(shortId).join(', ') || undefined],
    ...(rollout === undefined ? [] : factsOf(rollout)),
    ['last', last && `${shortId(last.candidate)} ${last.outcome} ${last.at}: ${last.reason}`],
    ['leads', rollout === undefined ? undefined : (controller ?? 'nobody: a node takes it within some seconds')],
    ['processes', processesText(processes)],
  ]
  const facts = rows.flatMap(([name, text]) => (text === undefined ? [] : [`${name.padEnd(10)} ${visible(text)}`]))
  return rollout === undefined ? facts : [...facts, '', ...details(rollout)]
}

function factsOf(rollout: RolloutFacts): [string, string | undefined][] {
  const { candidate, by, stage, stageSeconds, reason, isPromoted, firstNode, cohort, expectations, namespaces, next } =
    rollout
  const promoted = isPromoted ? ', promoted: without shares' : ''
  return [
    ['candidate', `${shortId(candidate)}, published by ${by}`],
    ['stage', `${stage} for ${stageSeconds} s${promoted}`],
    ['reason', reason],
    ['one node', firstNode],
    ['cohort', `${cohort} processes run it`],
    ['expected', expectations.join('; ') || undefined],
    ['namespaces', namespaces.join(', ') || undefined],
    ['next', next],
  ]
}

function details({ guards, flips, votes }: RolloutFacts): readonly string[] {
  const shown = flips.slice(0, SHOWN_FLIPS).map((flip) => [flipText(flip), flip.examples[0] ?? ''])
  return [
    ...table(
      'Guards',
      ['GUARD', 'SAYS', 'SEEN'],
      guards.map(({ name, verdict, words }) => [name, verdict, words]),
    ),
    ...table('Flips', ['FLIP', 'EXAMPLE'], shown),
    ...table(
      'Votes',
      ['NODE', 'REASON'],
      votes.map(({ node, reason }) => [node, reason]),
    ),
  ]
}

function processesText({ present, versions }: RolloutView['processes']): string {
  const parts = Object.entries(versions).map(([id, count]) => `${count} run ${id === 'none' ? 'none' : shortId(id)}`)
  return `${present}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`
}

export function versionTable(
  versions: readonly VersionMeta[],
  state: RolloutState,
  quarantined: ReadonlySet<string>,
): readonly string[] {
  const rows = versions.map(({ id, at, author, message, files, bytes }) => {
    return [
      shortId(id),
      new Date(at).toISOString(),
      standing(id, state) ?? (quarantined.has(id) ? 'quarantine' : ''),
      files,
      bytes,
      author,
      message,
    ]
  })
  return table('Versions', ['VERSION', 'PUBLISHED', 'IS', 'FILES', 'BYTES', 'AUTHOR', 'MESSAGE'], rows)
}

function standing(id: string, { stable, rollout, previous }: RolloutState): string | undefined {
  if (id === stable) return 'stable'
  if (id === rollout?.candidate) return 'candidate'
  return previous.includes(id) ? 'previous' : undefined
}

export function logTable(log: readonly LogEntry[]): readonly string[] {
  const rows = log.map(({ at, rev, by, entry }) => {
    const what = entry.length > MAX_ENTRY ? `${entry.slice(0, MAX_ENTRY)}… (--json has it all)` : entry
    return [new Date(at).toISOString(), rev, by, what]
  })
  return table('Log', ['WHEN', 'REV', 'WHO', 'WHAT'], rows)
}
