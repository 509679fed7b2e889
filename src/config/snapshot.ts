// A snapshot: one compiled, immutable config. Each request takes the current one once and keeps it to its end.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import type { TemplateDefinition } from '../adapter-kit/template.ts'
import type { CompiledExpression, EvaluationError } from '../expression/compiled.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { Problem } from '../kernel/problem.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import type { FieldPlan } from './instance-builder.ts'
import type { HeaderOperation } from '../kernel/header-operation.ts'

export type FailPolicy = 'open' | 'closed'

/** A configured adapter. `digest` changes when anything that can change its answers does. */
export interface HandlerConfig {
  /** Fully qualified: `name.handler.namespace`. */
  readonly name: string
  readonly adapter: AnyAdapter
  /** `params` as the adapter's schema parsed them. */
  readonly params: unknown
  /** SHA-256 (hex) over adapter name, params and limits. */
  readonly digest: string
  /** Deadline of a check, a quota or generated attributes, in milliseconds. */
  readonly timeoutMs: number
  /** Deadline of the delivery of one batch of reports, in milliseconds. */
  readonly reportTimeoutMs: number
  /** How long past its validity a verdict may be served while the backend gives none. */
  readonly staleIfErrorMs: number
  /** How long past its validity a verdict is served at once while it is refreshed in the background; 0: never. */
  readonly staleWhileRevalidateMs: number
  /** Upper bound for the validity of denials; `undefined` leaves it to the adapter. */
  readonly maxDenyValidForMs: number | undefined
  /** What a call of the backend costs in money, in any unit; no part of the digest, since it changes no answer. */
  readonly costPerCall: number
}

/** What a template puts out: by field the name under which bindings see it, and all those names. */
export interface OutputNames {
  readonly byField: ReadonlyMap<string, string>
  readonly names: ReadonlySet<string>
}

/** A configured instance: fills its template's fields from a bag. */
export interface InstanceConfig {
  readonly name: string
  readonly template: TemplateDefinition
  /** SHA-256 (hex) over template, params and dialect. */
  readonly digest: string
  build(bag: AttributeBag, log?: ReadLog): Instance | EvaluationError
  /** How `build` fills the fields, for whoever wants some of them only. */
  readonly plan: readonly FieldPlan[]
  /**
   * Values to add to the bag, computed from a generator's output (attribute name → expression over `$out.*` and the
   * bag); only for templates of variety `attributes`.
   */
  readonly bindings: ReadonlyMap<string, CompiledExpression>
  /** The names under which `bindings` see what the template puts out. */
  readonly outputs: OutputNames
  /** Every expression of the params with its dotted path, for explain and for warnings. */
  readonly expressions: ReadonlyMap<string, CompiledExpression>
}

export interface ActionConfig {
  /** The action's name, for header operations that use `<name>.output.<field>`. */
  readonly name: string | undefined
  readonly handler: HandlerConfig
  readonly instances: readonly InstanceConfig[]
}

/** A header operation for each value, one after the other; REMOVE has none. */
export interface HeaderTemplate {
  readonly name: string
  readonly operation: HeaderOperation['operation']
  readonly values: readonly CompiledExpression[]
}

export interface RuleConfig {
  /** Fully qualified: `name.rule.namespace`. */
  readonly name: string
  readonly namespace: string
  /** Whether it applies to requests of every namespace: its own is the default one. */
  readonly everywhere: boolean
  /** `undefined` matches always. */
  readonly match: CompiledExpression | undefined
  readonly actions: readonly ActionConfig[]
  readonly requestHeaders: readonly HeaderTemplate[]
  readonly responseHeaders: readonly HeaderTemplate[]
  /** The names (`<action>.output.<field>`) by which header operations read what handlers put out. */
  readonly outputs: ReadonlySet<string>
  /** Resolves an unknown verdict. */
  readonly failPolicy: FailPolicy
  /** What a match that fails means, other than by something absent: that it is unknown whether it matches, or no match. */
  readonly matchFailure: 'unknown' | 'noMatch'
  /** `shadow`: evaluated and counted, not applied. */
  readonly mode: 'enforce' | 'shadow'
  /** Share of matching requests (0 to 1) that a report rule takes; 1 unless sampling is set. */
  readonly sampling: number
  /** Upper bounds that override what handlers declare, in milliseconds and uses. */
  readonly maxValidForMs: number | undefined
  readonly maxValidUses: number | undefined
  /** SHA-256 (hex) over everything above, its handlers' and instances' digests included. */
  readonly digest: string
}

export interface Snapshot {
  /** SHA-256 (hex) over the source documents. */
  readonly id: string
  /** SHA-256 (hex) over what decides what a record of a report becomes (`report-digest.ts`). */
  readonly reportDigest: string
  readonly vocabulary: Vocabulary
  readonly handlers: ReadonlyMap<string, HandlerConfig>
  readonly instances: ReadonlyMap<string, InstanceConfig>
  /** Rules in order: those of the default namespace first, then by namespace and name. */
  readonly rules: readonly RuleConfig[]
  readonly defaultNamespace: string
  readonly warnings: readonly Problem[]
}
