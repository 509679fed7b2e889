// Which handlers a worker delivers to: all of the config, or those that `--handlers` names, as a team's own worker does.

import type { Variety } from '../adapter-kit/template.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import { suggest } from '../kernel/suggest.ts'
import type { Settings } from '../settings/settings.ts'

/** What a worker does under one config. */
export interface HandlerChoice {
  /** Whether it evaluates reports, besides delivering what others have evaluated. */
  readonly takesReports: boolean
  /** Whether a handler runs in it for instances of that variety. */
  runs(this: void, handler: string, variety: Variety): boolean
  /** Why names mean nothing under this config. */
  readonly problems: readonly string[]
}

const EVERYTHING: HandlerChoice = { takesReports: true, runs: () => true, problems: [] }

/** A handler may be named in full (`name.handler.namespace`) or, where that is clear, by its name alone. */
export function chooseHandlers(
  snapshot: Snapshot,
  { handlers: names, fanOut }: Pick<Settings, 'handlers' | 'fanOut'>,
): HandlerChoice {
  if (names.length === 0) return EVERYTHING
  const reporting = reportHandlers(snapshot)
  const chosen = new Set<string>()
  const problems: string[] = []
  for (const name of names) {
    const found = reporting.has(name) ? [name] : [...reporting].filter((full) => full.startsWith(`${name}.`))
    if (found.length === 1) chosen.add(found[0] ?? '')
    else problems.push(problemOf(name, found, { reporting, snapshot }))
  }
  const takesReports = fanOut || [...reporting].every((name) => chosen.has(name))
  const runs = (handler: string, variety: Variety) => (variety === 'report' ? chosen.has(handler) : takesReports)
  return { takesReports, runs, problems }
}

/** @throws IntermixError INVALID_SETTING where the config does not have what is named. */
export function checkHandlers(snapshot: Snapshot, settings: Pick<Settings, 'handlers' | 'fanOut'>): void {
  const { problems } = chooseHandlers(snapshot, settings)
  if (problems.length > 0) throw new IntermixError('INVALID_SETTING', problems.join('\n'))
}

function problemOf(
  name: string,
  found: readonly string[],
  { reporting, snapshot }: { readonly reporting: ReadonlySet<string>; readonly snapshot: Snapshot },
): string {
  if (found.length > 1) return `--handlers: ${name} may be ${found.join(' or ')}: name one in full.`
  const isThere = [...snapshot.handlers.keys()].some((full) => full === name || full.startsWith(`${name}.`))
  if (isThere) return `--handlers: no rule gives reports to ${name}.`
  const candidates = [...reporting].flatMap((full) => (name.includes('.') ? [full] : [full.split('.', 1)[0] ?? full]))
  return `--handlers: the config has no handler ${JSON.stringify(name)}.${suggest(name, candidates)}`
}

/** The handlers to which rules give reports. */
function reportHandlers({ rules }: Snapshot): ReadonlySet<string> {
  const actions = rules.flatMap((rule) => rule.actions)
  const reporting = actions.filter(({ instances }) => instances.some(({ template }) => template.variety === 'report'))
  return new Set(reporting.map(({ handler }) => handler.name))
}
