// Random configs for the oracle, as models that both the oracle and the product can read.

import { ExpressionSource } from './generate-expression.ts'
import { randomGenerator } from './generate-generator.ts'
import type { ActionModel, ConfigModel, HandlerModel, HeaderModel, InstanceModel, RuleModel } from './oracle/model.ts'
import { constant, type Dialect, type Expression } from './oracle/syntax.ts'
import { type Picker, times } from './random.ts'
import { OWN_WORDS, type Vocabulary } from './vocabulary.ts'

const HANDLERS = ['h0', 'h1', 'h2'] as const
const CHECKS = ['i0', 'i1', 'i2', 'i3'] as const
const QUOTAS = ['q0', 'q1'] as const
const GENERATORS = ['g0', 'g1'] as const

/** Names by which callers ask for quotas; of the last nobody knows. */
export const QUOTA_NAMES = ['q0', 'Q1', 'q0.instance.istio-system', 'q9'] as const

const dialect = (pick: Picker): Dialect => pick.of(['CEXL', 'CEL'])

function handler(name: string, pick: Picker): HandlerModel {
  return {
    name,
    adapter: pick.chance(0.7) ? 'remote' : 'computed',
    salt: pick.int(3),
    windows: pick.chance(0.5),
    staleIfErrorMs: pick.of([0, 10_000, 60_000]),
    maxDenyValidForMs: pick.chance(0.2) ? 500 : undefined,
  }
}

function check(name: string, pick: Picker, vocabulary: Vocabulary): InstanceModel {
  const language = dialect(pick)
  return {
    template: 'listentry',
    name,
    dialect: language,
    value: new ExpressionSource(pick, language, vocabulary).any(),
  }
}

function quota(name: string, pick: Picker, vocabulary: Vocabulary): InstanceModel {
  const language = dialect(pick)
  const source = new ExpressionSource(pick, language, vocabulary)
  const keys = ['user', '__proto__', 'constructor'].filter(() => pick.chance(0.5))
  // What lacks a dimension has no counter.
  const dimension = (): Expression =>
    pick.chance(0.6) ? { is: 'else', left: source.attribute('STRING'), right: constant('none') } : source.any()
  const dimensions = keys.map((key) => [key, dimension()] as const)
  // CEXL knows no negative numbers.
  const amount = pick.of([undefined, undefined, 1, 2, 0, language === 'CEL' ? -1 : 1])
  return { template: 'quota', name, dialect: language, dimensions, amount, hasOwnId: pick.chance(0.2) }
}

function header(pick: Picker, language: Dialect, vocabulary: Vocabulary, actions: readonly ActionModel[]): HeaderModel {
  const isTaken = (name: string) => actions.some((action) => name.startsWith(`${action.name}.output.`))
  const source = new ExpressionSource(pick, language, vocabulary, isTaken)
  const outputs = actions.flatMap(({ name }) =>
    name === undefined ? [] : [`${name}.output.owner`, `${name}.output.call`],
  )
  const value = (): Expression => {
    const [first, ...others] = outputs
    if (first !== undefined && pick.chance(0.5)) {
      const output: Expression = { is: 'attribute', name: pick.of([first, ...others]), type: 'STRING', isOutput: true }
      return pick.chance(0.7) ? output : { is: 'else', left: output, right: source.text() }
    }
    return pick.chance(0.1) ? constant('set') : source.text()
  }
  const operation = pick.of(['REPLACE', 'REPLACE', 'APPEND', 'REMOVE'] as const)
  return { name: pick.of(['x-a', 'x-b', 'host']), operation, values: times(1 + pick.int(3), value) }
}

/** Rules of these kinds have header operations alone, or generators alone. */
const HEADERS_ALONE = 0
const GENERATING = 1

/** A match; in some configs each demands something of how a text begins or ends, as rules by paths and hosts do. */
function match(pick: Picker, language: Dialect, vocabulary: Vocabulary, byAffix: boolean): Expression {
  const source = new ExpressionSource(pick, language, vocabulary)
  if (!byAffix) return source.match()
  const affix = source.affix()
  if (pick.chance(0.4)) return affix
  const [left, right] = pick.chance(0.5) ? [affix, source.match()] : [source.match(), affix]
  return { is: 'and', left, right }
}

interface RuleKind {
  readonly kind?: number | undefined
  readonly byAffix?: boolean | undefined
  /** How often it charges a quota, and how often it has a match. */
  readonly quotaShare?: number
  readonly matchShare?: number
}

function rule(name: string, pick: Picker, vocabulary: Vocabulary, given: RuleKind = {}): RuleModel {
  const { kind = pick.int(8), byAffix = pick.chance(0.2), quotaShare = 0.3, matchShare = 0.55 } = given
  const language = dialect(pick)
  const actions = times(kind === HEADERS_ALONE ? 0 : 1 + pick.int(2), (i): ActionModel => {
    const isQuota = pick.chance(quotaShare)
    const instance = kind === GENERATING ? pick.of(GENERATORS) : isQuota ? pick.of(QUOTAS) : pick.of(CHECKS)
    // Header operations and bindings know `x.output.owner` as an attribute, too.
    return { name: pick.chance(0.6) ? ['x', 'y'][i] : undefined, handler: pick.of(HANDLERS), instances: [instance] }
  })
  const headers = (share: number) =>
    kind === HEADERS_ALONE || (kind !== GENERATING && pick.chance(share))
      ? times(1 + pick.int(2), () => header(pick, language, vocabulary, actions))
      : []
  return {
    name,
    namespace:
      byAffix && pick.chance(0.7)
        ? 'istio-system'
        : pick.of(['istio-system', 'istio-system', 'istio-system', 'ns1', 'ns2']),
    api: pick.of(['mixer', 'intermix']),
    dialect: language,
    match: pick.chance(kind === GENERATING ? 0.3 : byAffix ? 0.9 : matchShare)
      ? match(pick, language, vocabulary, byAffix)
      : undefined,
    actions,
    requestHeaders: headers(0.4),
    responseHeaders: headers(0.15),
    failPolicy: pick.of(['open', 'closed']),
    matchFailure: pick.of([undefined, undefined, 'unknown', 'noMatch']),
    mode: pick.chance(0.15) ? 'shadow' : 'enforce',
    maxValidForMs: pick.chance(0.1) ? pick.of([0, 700]) : undefined,
    maxValidUses: pick.chance(0.1) ? pick.of([0, 2]) : undefined,
  }
}

export function randomConfig(pick: Picker, vocabulary: Vocabulary = OWN_WORDS): ConfigModel {
  const generators = pick.of([0, 0, 2])
  const byAffix = pick.chance(0.2)
  // Whoever keeps answers keeps fewest of those that charge; and some configs are made for little but limits.
  const quotaShare = pick.of([0.3, 0.3, 0, 0.8])
  const isLimits = quotaShare > 0.5
  const counts = isLimits ? [1, 1, 2, 3] : byAffix ? [10, 14, 20] : [1, 2, 3, 4, 5, 8, 10]
  const kinds = { byAffix: byAffix || undefined, quotaShare, ...(isLimits ? { matchShare: 0.2 } : {}) }
  return {
    handlers: HANDLERS.map((name) => handler(name, pick)),
    instances: [
      ...CHECKS.map((name) => check(name, pick, vocabulary)),
      ...QUOTAS.map((name) => quota(name, pick, vocabulary)),
      ...GENERATORS.map((name) => randomGenerator(name, pick, vocabulary)),
    ],
    // From six rules on an index chooses among them.
    rules: times(pick.of(counts as [number]), (i) =>
      rule(`r${i}`, pick, vocabulary, { kind: i < generators ? GENERATING : undefined, ...kinds }),
    ),
  }
}

/** The same config with one object made anew. */
export function changeOne(config: ConfigModel, pick: Picker, vocabulary: Vocabulary = OWN_WORDS): ConfigModel {
  const replaced = <T extends { readonly name: string }>(list: readonly T[], make: (name: string) => T): T[] => {
    const at = pick.int(list.length)
    return list.map((object, i) => (i === at ? make(object.name) : object))
  }
  const kind = pick.int(3)
  if (kind === 0) return { ...config, handlers: replaced(config.handlers, (name) => handler(name, pick)) }
  if (kind === 1)
    return { ...config, instances: replaced(config.instances, (name) => instance(name, pick, vocabulary)) }
  return { ...config, rules: replaced(config.rules, (name) => rule(name, pick, vocabulary)) }
}

function instance(name: string, pick: Picker, vocabulary: Vocabulary): InstanceModel {
  if (name.startsWith('q')) return quota(name, pick, vocabulary)
  return name.startsWith('g') ? randomGenerator(name, pick, vocabulary) : check(name, pick, vocabulary)
}
