// From the documents of a folder to the domains that can be used. One that cannot is left out by itself, and named.

import type { LoadedConfig } from '../../config/parse-text.ts'
import { placeOf, ProblemList, sortProblems } from '../../config/problem-list.ts'
import type { MapNode } from '../../config/config-node.ts'
import type { Problem } from '../../kernel/problem.ts'
import type { Domain } from './domain.ts'
import { domainNameOf, readDomain } from './read-domain.ts'

export interface LoadedDomains {
  readonly domains: ReadonlyMap<string, Domain>
  /** Names of those that have errors. */
  readonly quarantined: ReadonlySet<string>
  /** Files of which nothing, or not all, could be read: which domains stand there is not known. */
  readonly unreadable: ReadonlySet<string>
  readonly problems: readonly Problem[]
}

/** Reads all domains. Of two with one name none is taken: which one is meant is not known. */
export function loadDomains(loaded: LoadedConfig): LoadedDomains {
  const domains = new Map<string, Domain>()
  const roots = new Map<string, MapNode>()
  const quarantined = new Set<string>()
  const unreadable = new Set(loaded.problems.filter(({ severity }) => severity === 'error').map(({ file }) => file))
  const all: Problem[] = [...loaded.problems]
  for (const { root } of loaded.documents) {
    const problems = new ProblemList()
    const domain = readDomain(root, problems)
    const name = domainNameOf(root)
    const first = roots.get(name)
    if (first !== undefined && name !== '')
      problems.error(
        root,
        'duplicate-domain',
        `the domain "${name}" stands at ${placeOf(first)} already: join the two.`,
      )
    else roots.set(name, root)
    all.push(...problems.all)
    if (problems.errorCount === 0) domains.set(name, domain)
    else if (name !== '') quarantined.add(name)
    else unreadable.add(root.file.name)
  }
  for (const name of quarantined) domains.delete(name)
  return { domains, quarantined, unreadable, problems: sortProblems(all) }
}
