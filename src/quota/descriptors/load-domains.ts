// From documents to the domains that can be used. One that cannot is left out by itself, and named.

import type { MapNode } from '../../config/config-node.ts'
import type { LoadedConfig } from '../../config/parse-text.ts'
import { placeOf, ProblemList, sortProblems } from '../../config/problem-list.ts'
import type { Problem } from '../../kernel/problem.ts'
import type { Domain } from './domain.ts'
import { domainNameOf, readDomain } from './read-domain.ts'

/** Where documents of domains were found. */
export interface DomainPlaces {
  /** What holds nothing else. */
  readonly own?: LoadedConfig | undefined
  /** A config of rules, between whose documents they may lie. */
  readonly config?: LoadedConfig | undefined
}

export interface LoadedDomains {
  readonly domains: ReadonlyMap<string, Domain>
  /** Names of those that have errors. */
  readonly quarantined: ReadonlySet<string>
  /** Files of which nothing, or not all, could be read: which domains stand there is not known. */
  readonly unreadable: ReadonlySet<string>
  /** Those of the documents that are none of domains are for others to tell. */
  readonly problems: readonly Problem[]
}

/** Reads all domains. Of two with one name none is taken: which one is meant is not known. */
export function loadDomains({ own, config }: DomainPlaces): LoadedDomains {
  const domains = new Map<string, Domain>()
  const roots = new Map<string, MapNode>()
  const unread = [...(own?.domains.unread ?? []), ...(config?.domains.unread ?? [])]
  const quarantined = new Set(unread.map(({ name }) => name).filter((name) => name !== ''))
  const all: Problem[] = [
    ...(own?.problems ?? []),
    ...(own?.domains.problems ?? []),
    ...(config?.domains.problems ?? []),
  ]
  const unreadable = new Set([
    ...[...(own?.problems ?? []), ...(config?.problems ?? [])].filter(isError).map(({ file }) => file),
    ...unread.filter(({ name }) => name === '').map(({ file }) => file),
  ])
  const documents = [own?.documents, own?.domains.documents, config?.domains.documents]
  for (const { root } of documents.flatMap((each) => each ?? [])) {
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

function isError({ severity }: Problem): boolean {
  return severity === 'error'
}
