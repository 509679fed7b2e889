// What decides what becomes of a record, as one digest: nodes and workers tell by it whether they mean the same rules.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { digestOf } from './digest.ts'
import { serves } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import type { ActionConfig, RuleConfig } from './snapshot.ts'

/**
 * SHA-256 (hex) over everything that decides which instances a record makes and for which handlers: the same over
 * machines and restarts, whatever else a config says of checks, backends and deadlines.
 */
export function* reportDigest(
  rules: Iterable<RuleConfig>,
  vocabulary: Vocabulary,
  defaultNamespace: string,
): Sliced<string> {
  const parts: string[] = []
  for (const rule of rules) {
    if (serves(rule, 'report') || serves(rule, 'attributes')) parts.push(digestOf(partOf(rule)))
    yield
  }
  const attributes = [...vocabulary].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return digestOf([defaultNamespace, attributes, parts])
}

function partOf({ name, namespace, match, mode, sampling, actions }: RuleConfig): unknown {
  return [name, namespace, match && [match.dialect, match.source], mode, sampling, actions.flatMap(callsOf)]
}

/**
 * Params of a handler count only where they decide what the fan-out makes: a generator's decide attributes, and those of
 * an adapter that adds up decide what is added to what.
 */
function callsOf({ handler, instances }: ActionConfig): unknown[] {
  const calls = instances.filter(({ template: { variety } }) => variety === 'report' || variety === 'attributes')
  if (calls.length === 0) return []
  const decides = calls.some(
    ({ template: { name, variety } }) =>
      variety === 'attributes' || handler.adapter.aggregation?.(name, handler.params) !== undefined,
  )
  return [[handler.name, handler.adapter.name, decides ? handler.digest : '', calls.map(({ digest }) => digest)]]
}
