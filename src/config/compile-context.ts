// What the compilers of handlers, instances and rules share while one config is compiled.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import type { TemplateDefinition } from '../adapter-kit/template.ts'
import type { CompiledExpression } from '../expression/compiled.ts'
import type { ScalarNode } from './config-node.ts'
import type { ExpressionSet } from './expression-set.ts'
import type { ProblemList } from './problem-list.ts'
import type { HandlerConfig, InstanceConfig } from './snapshot.ts'

/** How a config is compiled. */
export interface CompileSnapshotOptions {
  readonly adapters: ReadonlyMap<string, AnyAdapter>
  /** Its rules apply to every namespace. Default `istio-system`. */
  readonly defaultNamespace?: string
  /**
   * Deadline of one call, in ms, for handlers that set none. Default 200: a caller waits for checks, quotas and
   * attributes, and a proxy's own deadline is seldom above half a second.
   */
  readonly defaultTimeoutMs?: number
  /** The same for reports, for which nobody waits. Default 5 000. */
  readonly defaultReportTimeoutMs?: number
  /** Steps that one evaluation of an expression may take (`expression/steps.ts`). Default 100 000. */
  readonly maxEvaluationSteps?: number
  /** Whether a config without rules is refused; else it is warned of. Default false. */
  readonly requireRules?: boolean
  /** Processes of the node that is to serve it. Default 1. */
  readonly processes?: number
}

export interface CompileContext {
  readonly options: Required<CompileSnapshotOptions>
  /** All that an instance may be of, by name. */
  readonly templates: ReadonlyMap<string, TemplateDefinition>
  readonly problems: ProblemList
  readonly expressions: ExpressionSet
  /** The expressions of each rule and instance, by its full name. */
  readonly sites: Map<string, readonly ExpressionSite[]>
}

/** An expression and the place where it is written. */
export interface ExpressionSite {
  readonly node: ScalarNode
  readonly expression: CompiledExpression
}

/**
 * The objects that rules refer to, by full name; `undefined` stands for one that exists but did not compile. Inline
 * ones are added while rules are compiled.
 */
export interface Registries {
  readonly handlers: Map<string, HandlerConfig | undefined>
  readonly instances: Map<string, InstanceConfig | undefined>
}

/** What one rule refers to and what it declares in place, as it is compiled. */
export interface RuleLinks {
  readonly references: Reference[]
  /** Full names. */
  readonly declared: string[]
}

export interface Reference {
  readonly kind: 'handler' | 'instance'
  readonly text: string
  readonly fullName: string
  readonly target: HandlerConfig | InstanceConfig | undefined
}
