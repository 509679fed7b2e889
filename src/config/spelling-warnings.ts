// Doubts about rules that ask for a path or host in a spelling that checks never see.

import type { EqualityTerm } from '../expression/compiled.ts'
import { AmbiguousRequest, PATH_AMBIGUITY_NAMES, type PathAmbiguity } from '../wire/ambiguity.ts'
import { normalHost } from '../wire/normal-host.ts'
import { normalPath } from '../wire/normal-path.ts'
import type { ExpressionSite } from './compile-context.ts'
import type { ProblemList } from './problem-list.ts'
import { serves } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

const ALL: ReadonlySet<PathAmbiguity> = new Set(PATH_AMBIGUITY_NAMES)
const path = (text: string) => normalPath(text, ALL)

/** The normal forms by attribute, and by key for headers. */
const NORMAL: ReadonlyMap<string, (text: string) => string> = new Map([
  ['request.path', path],
  ['request.url_path', path],
  ['request.host', normalHost],
  ['request.headers[:path]', path],
  ['request.headers[:authority]', normalHost],
  ['request.headers[host]', normalHost],
])

/** Warns of rules for checks whose match compares a path or host with a text that none is equal to, by default. */
export function* warnOfSpellings(
  rules: Iterable<RuleConfig>,
  sites: ReadonlyMap<string, readonly ExpressionSite[]>,
  problems: ProblemList,
): Sliced<void> {
  for (const rule of rules) {
    yield
    if (rule.match === undefined || !serves(rule, 'check')) continue
    const site = (sites.get(rule.name) ?? []).find(({ expression }) => expression === rule.match)
    for (const term of site === undefined ? [] : rule.match.equalityTerms) {
      const message = doubtOf(term)
      const at = Math.max(0, site?.node.text.indexOf(term.attribute) ?? 0)
      if (site !== undefined && message !== undefined)
        problems.within('warning', site.node, at, 'spelling-never-matches', message)
    }
  }
}

function doubtOf({ attribute, mapKey, constant }: EqualityTerm): string | undefined {
  const normalize = NORMAL.get(mapKey === undefined ? attribute : `${attribute}[${mapKey}]`)
  if (normalize === undefined || typeof constant !== 'string') return undefined
  const name = mapKey === undefined ? attribute : `${attribute}["${mapKey}"]`
  try {
    const normal = normalize(constant)
    if (normal === constant) return undefined
    return `"${name}" is never ${JSON.stringify(constant)} in a check; it is ${JSON.stringify(normal)} then.`
  } catch (caught) {
    if (!(caught instanceof AmbiguousRequest)) throw caught
    return `"${name}" is never ${JSON.stringify(constant)} in a check: such requests are refused.`
  }
}
