// Domains of rate limits from text.
import { expect } from 'vitest'
import { parseConfigText } from '../../../src/config/load.ts'
import { formatProblem } from '../../../src/kernel/problem.ts'
import type { Domain } from '../../../src/quota/descriptors/domain.ts'
import { loadDomains } from '../../../src/quota/descriptors/load-domains.ts'

/** All domains of a text in which nothing is wrong. */
export function domainsOf(text: string): ReadonlyMap<string, Domain> {
  const { domains, problems } = loadDomains({ own: parseConfigText('limits.yaml', text) })
  expect(problems.map(formatProblem)).toEqual([])
  return domains
}

/** What is wrong with a text, as people read it. */
export function problemsOf(text: string): readonly string[] {
  return loadDomains({ own: parseConfigText('limits.yaml', text) }).problems.map(formatProblem)
}

/** Entries from `key=value` texts. */
export function entries(...texts: readonly string[]): { key: string; value: string }[] {
  return texts.map((text) => {
    const [key = '', value = ''] = text.split('=')
    return { key, value }
  })
}
