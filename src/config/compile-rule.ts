// Rules: a match and the actions and header operations that it leads to.

import type { CompiledExpression, Dialect } from '../expression/compiled.ts'
import { compileActions } from './compile-actions.ts'
import type { CompileContext, ExpressionSite, Registries, RuleLinks } from './compile-context.ts'
import { compileHeaders } from './compile-headers.ts'
import type { ScalarNode } from './config-node.ts'
import { digestOf } from './digest.ts'
import { referencedTypes } from './expression-set.ts'
import { Fields } from './fields.ts'
import { INTERMIX_API } from './kinds.ts'
import { type ConfigObject, dialectOf, Extras } from './objects.ts'
import { readSampling } from './sampling.ts'
import type { HeaderTemplate, RuleConfig } from './snapshot.ts'
import { readChoice, readDuration, readNumber } from './values.ts'

const SETTINGS = ['failPolicy', 'matchFailure', 'mode', 'sampling', 'maxValidFor', 'maxValidUses', 'lang'] as const
const MIXER_FIELDS = ['match', 'actions', 'requestHeaderOperations', 'responseHeaderOperations', 'sampling'] as const
const VALIDITY_BOUNDS = { minMs: 0, maxMs: 24 * 3_600_000 }
const USES_BOUNDS = { min: 0, max: 2_147_483_647, integer: true }

/** Compiles a rule and fills its `links`. @returns `undefined` where it has an error, which has been reported. */
export function compileRule(
  object: ConfigObject,
  registries: Registries,
  links: RuleLinks,
  context: CompileContext,
): RuleConfig | undefined {
  const { problems } = context
  const spec = object.spec
  if (spec === undefined) {
    problems.error(object.nameNode, 'missing-field', 'the rule has no "spec" with its match and actions.')
    return undefined
  }
  const before = problems.errorCount
  const extras = new Extras(object, SETTINGS, problems)
  const own = object.api === INTERMIX_API ? SETTINGS : []
  const annotations = new Map(SETTINGS.map((name) => [name, `policy.intermix.dev/${name}`]))
  const fields = new Fields(spec, 'a rule', [...MIXER_FIELDS, ...own], problems, annotations)
  const setting = (name: (typeof SETTINGS)[number]) => extras.get(name, fields.get(name))
  const dialect = dialectOf(object, setting('lang'), problems)
  const sites: ExpressionSite[] = []
  const matchNode = fields.scalar('match')
  const match = compileMatch(matchNode, dialect, context)
  if (match !== undefined && matchNode !== undefined) sites.push({ node: matchNode, expression: match })
  const actions = compileActions(fields.list('actions'), { object, dialect, links }, registries, context)
  const headers = { actions, dialect, sites, outputs: new Set<string>() }
  const requestHeaders = compileHeaders(fields.list('requestHeaderOperations'), 'request', headers, context)
  const responseHeaders = compileHeaders(fields.list('responseHeaderOperations'), 'response', headers, context)
  const samplingField = fields.get('sampling')
  const sampling = readSampling(samplingField?.kind === 'map' ? samplingField : setting('sampling'), context)
  const limits = readLimits(setting('maxValidFor'), setting('maxValidUses'), context)
  const failPolicy = choice(setting('failPolicy'), ['closed', 'open'], context)
  const matchFailure = choice(
    setting('matchFailure'),
    object.api === INTERMIX_API ? ['unknown', 'noMatch'] : ['noMatch', 'unknown'],
    context,
  )
  const mode = choice(setting('mode'), ['enforce', 'shadow'], context)
  context.sites.set(object.fullName, sites)
  if (problems.errorCount > before) return undefined
  if (actions.length + requestHeaders.length + responseHeaders.length === 0) {
    // Actions that are written and not here name what has been found wrong at its own place.
    if ((fields.list('actions')?.items.length ?? 0) > 0) return undefined
    problems.error(object.nameNode, 'no-actions', 'the rule does nothing: add "actions" or header operations.')
    return undefined
  }
  const rule = {
    name: object.fullName,
    namespace: object.namespace,
    everywhere: object.namespace === context.options.defaultNamespace,
    match: match?.constant === true ? undefined : match,
    actions,
    requestHeaders,
    responseHeaders,
    failPolicy,
    matchFailure,
    mode,
    sampling,
    ...limits,
  }
  return Object.freeze({ ...rule, outputs: headers.outputs, digest: digestRule(rule, context) })
}

function compileMatch(
  node: ScalarNode | undefined,
  dialect: Dialect,
  { expressions, problems }: CompileContext,
): CompiledExpression | undefined {
  if (node === undefined || node.text.trim() === '') return undefined
  const match = expressions.compile(node, { dialect, expected: 'BOOL' })
  if (match?.constant === false)
    problems.warn(node, 'never-matches', 'the rule never matches: "match" is always false.')
  return match
}

function choice<T extends string>(
  node: ScalarNode | undefined,
  choices: readonly [T, ...T[]],
  context: CompileContext,
) {
  return (node && readChoice(node, choices, context.problems)) ?? choices[0]
}

function readLimits(
  validFor: ScalarNode | undefined,
  validUses: ScalarNode | undefined,
  { problems }: CompileContext,
): Pick<RuleConfig, 'maxValidForMs' | 'maxValidUses'> {
  return {
    maxValidForMs: validFor && readDuration(validFor, VALIDITY_BOUNDS, problems),
    maxValidUses: validUses && readNumber(validUses, USES_BOUNDS, problems),
  }
}

function digestRule(rule: Omit<RuleConfig, 'digest' | 'outputs'>, { expressions }: CompileContext): string {
  const { match, actions, requestHeaders, responseHeaders, ...plain } = rule
  const text = (e: CompiledExpression | undefined) =>
    e && [e.dialect, e.source, referencedTypes(e, expressions.vocabulary)]
  const header = ({ name, operation, values }: HeaderTemplate) => [name, operation, values.map(text)]
  const calls = actions.map(({ name, handler, instances }) => [name, handler.digest, instances.map((i) => i.digest)])
  return digestOf([plain, text(match), calls, requestHeaders.map(header), responseHeaders.map(header)])
}
