// Defects of what is decided: generated attributes, references, header operations, failing matches, quotas, shadow rules.

import type { ReadCollector } from '../../src/cache/read-collector.ts'
import type * as AffixLookupModule from '../../src/config/affix-lookup.ts'
import type * as CompileRuleModule from '../../src/config/compile-rule.ts'
import type { CandidateSet } from '../../src/config/rule-index.ts'
import type * as CompiledModule from '../../src/expression/compiled.ts'
import type * as AttributeBagModule from '../../src/kernel/attribute-bag.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type * as HeaderOperationModule from '../../src/kernel/header-operation.ts'
import type { HeaderOperation } from '../../src/kernel/header-operation.ts'
import type * as ReadLogModule from '../../src/kernel/read-log.ts'
import type * as AttributeGenerationModule from '../../src/policy/attribute-generation.ts'
import type * as CheckMetricsModule from '../../src/policy/check-metrics.ts'
import type * as CombineModule from '../../src/policy/combine.ts'
import type * as HeaderOperationsModule from '../../src/policy/header-operations.ts'
import type * as QuotaModule from '../../src/policy/quota.ts'
import type * as ReferencesModule from '../../src/policy/references.ts'
import type * as RuleMatchModule from '../../src/policy/rule-match.ts'
import { type Defect, replace } from './planted.ts'

const AFFIX_LOOKUP = '../../src/config/affix-lookup.ts'
const COMPILE_RULE = '../../src/config/compile-rule.ts'
const ATTRIBUTE_BAG = '../../src/kernel/attribute-bag.ts'
const HEADER_OPERATION = '../../src/kernel/header-operation.ts'
const READ_LOG = '../../src/kernel/read-log.ts'
const ATTRIBUTE_GENERATION = '../../src/policy/attribute-generation.ts'
const CHECK_METRICS = '../../src/policy/check-metrics.ts'
const COMBINE = '../../src/policy/combine.ts'
const HEADER_OPERATIONS = '../../src/policy/header-operations.ts'
const QUOTA = '../../src/policy/quota.ts'
const REFERENCES = '../../src/policy/references.ts'
const RULE_MATCH = '../../src/policy/rule-match.ts'

type Rules = CandidateSet['rules']

/** Changes the rules of configs. */
function replaceRules(change: (rule: Rules[0]) => Rules[0]): void {
  replace<typeof CompileRuleModule>(COMPILE_RULE, ({ compileRule }) => ({
    compileRule(...parameters) {
      const rule = compileRule(...parameters)
      return rule && change(rule)
    },
  }))
}

/** Changes what is done to headers. */
function replaceHeaders(change: (operations: readonly HeaderOperation[]) => readonly HeaderOperation[]): void {
  replace<typeof HeaderOperationsModule>(HEADER_OPERATIONS, ({ fillHeaders }) => ({
    fillHeaders(...parameters) {
      const { request, response } = fillHeaders(...parameters)
      return { request: change(request), response: change(response) }
    },
  }))
}

/** The request without what generators bind: they then bind it in any case. */
function withoutBound(own: AttributeBag, rules: Rules): AttributeBag {
  const instances = rules.flatMap(({ actions }) => actions.flatMap((action) => action.instances))
  const bound = new Set(instances.flatMap(({ bindings }) => [...bindings.keys()]))
  return { get: (name) => (bound.has(name) ? undefined : own.get(name)), names: () => own.names() }
}

function reversed(rules: Rules): Rules {
  return rules.map((rule) => ({ ...rule, actions: rule.actions.toReversed() })).toReversed()
}

function over(own: AttributeBag, generated: AttributeBag): AttributeBag {
  return { get: (name) => generated.get(name) ?? own.get(name), names: () => own.names() }
}

export const POLICY_DEFECTS: readonly Defect[] = [
  {
    name: 'rules that demand a shorter prefix are left out where a longer one fits',
    plant: () =>
      replace<typeof AffixLookupModule>(AFFIX_LOOKUP, ({ AffixLookup }) => ({
        AffixLookup: class<T> extends AffixLookup<T> {
          protected override found(
            ...parameters: Parameters<AffixLookupModule.AffixLookup<T>['found']>
          ): T | undefined {
            const found = super.found(...parameters) as { here?: T } | undefined
            return (found?.here ?? found) as T | undefined
          }
        },
      })),
  },
  {
    name: 'generated attributes replace what the request brought',
    plant: () =>
      replace<typeof AttributeGenerationModule>(ATTRIBUTE_GENERATION, ({ generateAttributes }) => ({
        generateAttributes(own, rules, ...others) {
          const bag = generateAttributes(withoutBound(own, rules), rules, ...others)
          return bag instanceof Promise ? bag.then((generated) => over(own, generated)) : over(own, bag)
        },
      })),
  },
  {
    name: 'of several generators the last one wins',
    plant: () =>
      replace<typeof AttributeGenerationModule>(ATTRIBUTE_GENERATION, ({ generateAttributes }) => ({
        generateAttributes: (own, rules, ...others) => generateAttributes(own, reversed(rules), ...others),
      })),
  },
  {
    name: 'what a failed generator would have given is absent',
    plant: () =>
      replace<typeof AttributeBagModule>(ATTRIBUTE_BAG, ({ CompletedBag }) => ({
        CompletedBag: class extends CompletedBag {
          override unknown(): undefined {}
        },
      })),
  },
  {
    name: 'references hold what the request before read for its generators',
    plant: () => {
      let before: ReadCollector | undefined
      replace<typeof ReferencesModule>(REFERENCES, ({ referencesOf }) => ({
        referencesOf(request, ...reads) {
          const inputs = before ?? request.inputs
          before = request.inputs
          return referencesOf({ ...request, inputs }, ...reads)
        },
      }))
    },
  },
  {
    name: 'references do not hold what chose the rules',
    plant: () =>
      replace<typeof ReferencesModule>(REFERENCES, ({ referencesOf }) => ({
        referencesOf: (request, reads) => referencesOf({ ...request, selection: undefined }, reads),
      })),
  },
  {
    name: 'reads are hidden by how their names look',
    plant: () =>
      replace<typeof ReadLogModule>(READ_LOG, ({ RequestReads }) => ({
        RequestReads: class extends RequestReads {
          constructor(...[log]: ConstructorParameters<typeof RequestReads>) {
            super(log, { has: (name) => name.includes('.output.') || name.startsWith('output.') })
          }
        },
      })),
  },
  {
    name: 'what header operations read leaves no trace',
    plant: () =>
      replace<typeof HeaderOperationsModule>(HEADER_OPERATIONS, ({ fillHeaders }) => ({
        fillHeaders: (matched, parts, bag) => fillHeaders(matched, parts, bag),
      })),
  },
  {
    name: 'several values are one header operation',
    plant: () =>
      replaceHeaders((operations) => {
        const joined: HeaderOperation[] = []
        for (const operation of operations) {
          const last = joined.at(-1)
          if (last?.name !== operation.name || last.operation !== operation.operation) joined.push(operation)
          else joined[joined.length - 1] = { ...last, value: `${last.value}${operation.value}` }
        }
        return joined
      }),
  },
  {
    name: 'a REPLACE without a value leaves the header as it is',
    plant: () => replace<typeof HeaderOperationModule>(HEADER_OPERATION, () => ({ isRemovable: () => false })),
  },
  {
    name: 'a match that fails does not match',
    plant: () =>
      replace<typeof RuleMatchModule>(RULE_MATCH, ({ matchRule }) => ({
        matchRule: (...parameters) => matchRule(...parameters) === true,
      })),
  },
  {
    name: 'what is absent makes a match fail',
    plant: () =>
      replace<typeof CompiledModule>('../../src/expression/compiled.ts', ({ EvaluationError }) => ({
        EvaluationError: class extends EvaluationError {
          constructor(...[message, , part, cause]: ConstructorParameters<typeof EvaluationError>) {
            super(message, 'failed', part, cause)
          }
        },
      })),
  },
  {
    name: 'fail policies are open',
    plant: () => replaceRules((rule) => ({ ...rule, failPolicy: 'open' })),
  },
  {
    name: 'shadow rules decide',
    plant: () => replaceRules((rule) => ({ ...rule, mode: 'enforce' })),
  },
  {
    name: 'shadow rules are not counted',
    plant: () =>
      replace<typeof CheckMetricsModule>(CHECK_METRICS, ({ createCheckMetrics }) => ({
        createCheckMetrics: (meter) => ({ ...createCheckMetrics(meter), shadowed: () => undefined }),
      })),
  },
  {
    name: 'the last failure gives the code',
    plant: () =>
      replace<typeof CombineModule>(COMBINE, ({ combineVerdicts }) => ({
        combineVerdicts: (matched, parts, now) => combineVerdicts(matched, parts.toReversed(), now),
      })),
  },
  {
    name: 'the bounds that rules set for validity are ignored',
    plant: () => replaceRules((rule) => ({ ...rule, maxValidForMs: undefined, maxValidUses: undefined })),
  },
  {
    name: 'a quota is granted by a rule that does not match',
    plant: () =>
      replace<typeof QuotaModule>(QUOTA, ({ grantQuota }) => ({
        grantQuota: (demand, rules, ...others) =>
          grantQuota(
            demand,
            rules.map((rule) => ({ ...rule, match: undefined })),
            ...others,
          ),
      })),
  },
]
