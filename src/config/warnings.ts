// Doubts about a config that compiles: what is declared and never used, what can never matter, what defeats the cache.

import type { CompileContext, ExpressionSite } from './compile-context.ts'
import { warnOfInstanceMentions } from './instance-mentions.ts'
import { warnOfExpressions } from './expression-warnings.ts'
import type { ConfigObject } from './objects.ts'
import { placeOf, type ProblemList } from './problem-list.ts'
import { warnOfQuotas } from './quota-warnings.ts'
import { warnOfRateLimits } from './rate-limit-warnings.ts'
import { serves } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import { warnOfSpellings } from './spelling-warnings.ts'
import type { HeaderTemplate, InstanceConfig, RuleConfig } from './snapshot.ts'

/** Compiled rules in rule order, with the objects that they come from. */
export type RulesByObject = ReadonlyMap<ConfigObject, RuleConfig>

interface CompiledObjects {
  readonly objects: readonly ConfigObject[]
  readonly rules: RulesByObject
  readonly instances: ReadonlyMap<string, unknown>
  /** Full names that rules refer to. */
  readonly used: ReadonlySet<string>
}

/** Adds warnings; nothing here stops a config from being used. */
export function* warnOfDoubts(config: CompiledObjects, { problems, options, sites }: CompileContext): Sliced<void> {
  for (const { role, fullName, nameNode } of config.objects) {
    if ((role.role !== 'handler' && role.role !== 'instance') || config.used.has(fullName)) continue
    problems.warn(nameNode, `unused-${role.role}`, `no rule uses the ${role.role} "${fullName}".`)
  }
  yield
  yield* warnOfInstanceMentions(config.objects, config.instances, problems)
  yield* warnOfQuotas(config.objects, config.rules, config.instances, problems)
  yield* warnOfRepeatedRules(config.rules, options.defaultNamespace, problems)
  yield* warnOfUncacheable(config.rules.values(), sites, problems)
  yield* warnOfExpressions(config.rules.values(), sites, problems)
  yield* warnOfRateLimits(config.rules, sites, problems)
  yield* warnOfSpellings(config.rules.values(), sites, problems)
}

/** A rule that does what an earlier one has done already for every request that it matches. */
function* warnOfRepeatedRules(rules: RulesByObject, defaultNamespace: string, problems: ProblemList): Sliced<void> {
  const seen = new Map<string, ConfigObject>()
  for (const [object, rule] of rules) {
    yield
    const deeds = deedsOf(rule)
    const match = rule.match === undefined ? '' : `${rule.match.dialect} ${rule.match.source}`
    const keys = [...new Set(['', match])].flatMap((m) =>
      [...new Set([defaultNamespace, rule.namespace])].map((namespace) => JSON.stringify([namespace, m, deeds])),
    )
    const earlier = keys.map((key) => seen.get(key)).find((found) => found !== undefined)
    if (earlier === undefined) {
      seen.set(JSON.stringify([rule.namespace, match, deeds]), object)
      continue
    }
    const effect = serves(rule, 'report') ? 'so its reports are made twice' : 'so this one never matters'
    const message = `the rule "${earlier.fullName}" at ${placeOf(earlier.nameNode)} does the same for every request of this one, ${effect}.`
    problems.warn(object.nameNode, 'shadowed-rule', message)
  }
}

function deedsOf({ actions, requestHeaders, responseHeaders, ...rule }: RuleConfig): unknown {
  const header = ({ name, operation, values }: HeaderTemplate) => [name, operation, values.map((value) => value.source)]
  const call = (instances: readonly InstanceConfig[]) => instances.map(({ digest }) => digest)
  return [
    actions.map(({ handler, instances }) => [handler.digest, handler.name, call(instances)]),
    requestHeaders.map(header),
    responseHeaders.map(header),
    [rule.mode, rule.failPolicy, rule.matchFailure, rule.sampling],
  ]
}

const DIFFERS = 'differs from request to request, so no answer can be used again'
const LATER = 'is not known before the response, so it is absent when a check is answered'
const VOLATILE: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^(request\.id|request\.time|context\.time|context\.timestamp|connection\.id)$/, DIFFERS],
  [/^(response|check|quota|connection\.sent|connection\.received)\./, LATER],
  [/^connection\.duration$/, LATER],
]
const VOLATILE_HEADERS = /^(x-request-id|x-b3-traceid|x-b3-spanid|traceparent)$/i

/** Expressions of checks and quotas that read what is never the same twice: the verdict cache cannot help there. */
function* warnOfUncacheable(
  rules: Iterable<RuleConfig>,
  sites: ReadonlyMap<string, readonly ExpressionSite[]>,
  problems: ProblemList,
): Sliced<void> {
  const done = new Set<string>()
  for (const rule of rules) {
    yield
    if (!serves(rule, 'check')) continue
    const asked = rule.actions.flatMap(({ instances }) => instances)
    const quotas = asked.filter(({ template }) => template.variety === 'quota')
    const checks = asked.filter(({ template }) => template.variety === 'check')
    const told = [rule, ...checks].map(({ name }) => ({ name, isKept: true }))
    // What is charged is charged each time.
    for (const { name, isKept } of [...told, ...quotas.map(({ name }) => ({ name, isKept: false }))]) {
      if (done.has(name)) continue
      done.add(name)
      for (const site of sites.get(name) ?? []) warnOfSite(site, isKept, problems)
    }
  }
}

function warnOfSite({ node, expression }: ExpressionSite, isKept: boolean, problems: ProblemList): void {
  const named = new Set<string>()
  for (const { attribute, mapKey } of expression.references) {
    const volatileKey = mapKey !== undefined && attribute === 'request.headers' && VOLATILE_HEADERS.test(mapKey)
    const reason = volatileKey ? DIFFERS : VOLATILE.find(([pattern]) => pattern.test(attribute))?.[1]
    const name = volatileKey ? `${attribute}["${mapKey}"]` : attribute
    if (reason === undefined || (reason === DIFFERS && !isKept) || named.has(name)) continue
    named.add(name)
    problems.within('warning', node, Math.max(0, node.text.indexOf(attribute)), 'uncacheable', `"${name}" ${reason}.`)
  }
}
