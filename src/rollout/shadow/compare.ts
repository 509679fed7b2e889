// What two versions of a config say of one request. Of handlers that nobody asks here, the answer that the request got
// tells what they said: of both versions, where they ask the same.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { Answer } from '../../kernel/verdict.ts'
import type { RuleSelector } from '../../config/rule-index.ts'
import { conclude, type DryPart, dryParts, type Judgement } from './dry-check.ts'
import type { DryHandlers } from './dry-handlers.ts'

export interface Comparison {
  readonly stable: Judgement
  readonly candidate: Judgement
}

/** What both say who have the same rules for a request. */
export const SAME = 'same'

/** @returns `undefined` where they cannot be compared: what a handler of one of them would say is not known. */
export function compare(
  live: RuleSelector,
  candidate: RuleSelector,
  { bag, answer }: { readonly bag: AttributeBag; readonly answer: Pick<Answer, 'status' | 'deniedBy'> },
  handlers: DryHandlers,
): Comparison | typeof SAME | undefined {
  // Generated attributes are those of the live version: with other generators, they would be others.
  const generates = live.generatesAttributes || candidate.generatesAttributes
  if (generates && live.attributes(bag).digest !== candidate.attributes(bag).digest) return undefined
  // Digests of rules hold those of their handlers and instances.
  if (live.check(bag).digest === candidate.check(bag).digest) return SAME
  const parts = dryParts(live, bag, handlers)
  const said = saidBy(parts, answer)
  const resolve = (part: DryPart): DryPart => ({ ...part, verdict: said.get(part.key) ?? part.verdict })
  const stable = conclude(parts.map(resolve)) ?? actual(parts, answer)
  const other = conclude(dryParts(candidate, bag, handlers).map(resolve))
  return stable === undefined || other === undefined ? undefined : { stable, candidate: other }
}

/** What open parts of the live version have said, as far as its answer tells. */
function saidBy(
  parts: readonly DryPart[],
  { status, deniedBy }: Pick<Answer, 'status' | 'deniedBy'>,
): ReadonlyMap<string, 'allow' | 'deny'> {
  const said = new Map<string, 'allow' | 'deny'>()
  if (status.code !== 0 && deniedBy === undefined) return said
  // None of them where a quota denied after all.
  const denying = parts.filter(({ rule, handler }) => rule.name === deniedBy?.rule && handler === deniedBy.handler)
  for (const part of parts) {
    if (status.code !== 0 && denying.includes(part)) {
      // Which one of several it was is not told, nor what those after it said.
      if (part.verdict === 'open' && denying.length === 1) said.set(part.key, 'deny')
      break
    }
    // Under a rule that is open, what is unknown passes, too.
    if (part.verdict === 'open' && part.rule.failPolicy === 'closed') said.set(part.key, 'allow')
  }
  return said
}

/** What the answer says by itself, where rules that are open leave something open. */
function actual(
  parts: readonly DryPart[],
  { status, deniedBy }: Pick<Answer, 'status' | 'deniedBy'>,
): Judgement | undefined {
  if (status.code === 0) return { kind: 'allow', rule: undefined }
  const rule = parts.find((part) => part.rule.name === deniedBy?.rule)?.rule
  return rule && { kind: 'deny', rule }
}
