// From documents to a snapshot: everything is checked, all problems are told, and any error means no snapshot.

import { DEFAULT_MAX_STEPS } from '../expression/steps.ts'
import type { Problem } from '../kernel/problem.ts'
import type { CompileContext, CompileSnapshotOptions, Registries } from './compile-context.ts'
import { compileHandler } from './compile-handler.ts'
import { compileInstance } from './compile-instance.ts'
import { VocabularyBuilder } from './compile-manifest.ts'
import { compileRule } from './compile-rule.ts'
import { type MapNode, toPlain } from './config-node.ts'
import { digestOf } from './digest.ts'
import { ExpressionSet } from './expression-set.ts'
import type { LoadedConfig } from './load.ts'
import { type ConfigObject, readObject } from './objects.ts'
import { compareText, placeOf, ProblemList, sortProblems } from './problem-list.ts'
import type { RuleConfig, Snapshot } from './snapshot.ts'
import { type RulesByObject, warnOfDoubts } from './warnings.ts'

const DEFAULTS = {
  defaultNamespace: 'istio-system',
  defaultTimeoutMs: 200,
  defaultReportTimeoutMs: 5_000,
  maxEvaluationSteps: DEFAULT_MAX_STEPS,
}

/** What came of compiling: a snapshot only when no problem is an error. */
export interface CompiledConfig {
  readonly snapshot: Snapshot | undefined
  /** Errors and warnings, those of loading included, by place. */
  readonly problems: readonly Problem[]
  /** How many objects and rules were found, whether or not they are right. */
  readonly counts: { readonly objects: number; readonly rules: number }
}

/** Compiles a loaded config as a whole. Never throws; the same documents give the same snapshot id. */
export function compileSnapshot(loaded: LoadedConfig, options: CompileSnapshotOptions): CompiledConfig {
  const problems = new ProblemList()
  for (const problem of loaded.problems) problems.push(problem)
  const settings = { ...DEFAULTS, ...options }
  const roots = loaded.documents.map(({ root }) => root)
  const objects = readObjects(roots, settings, problems)
  const expressions = readVocabulary(objects, settings.maxEvaluationSteps, problems)
  const context: CompileContext = { options: settings, problems, expressions, sites: new Map() }
  const registries: Registries = { handlers: new Map(), instances: new Map(), used: new Set() }
  for (const object of objects) {
    if (object.role.role === 'handler') registries.handlers.set(object.fullName, compileHandler(object, context))
    if (object.role.role === 'instance') registries.instances.set(object.fullName, compileInstance(object, context))
  }
  const rules = compileRules(objects, registries, context)
  // Beside errors, doubts are mostly their consequences.
  if (problems.errorCount === 0) warnOfDoubts({ objects, rules, registries }, context)
  const counts = { objects: objects.length, rules: objects.filter(({ role }) => role.role === 'rule').length }
  const sorted = sortProblems(problems.all)
  if (problems.errorCount > 0) return { snapshot: undefined, problems: sorted, counts }
  const snapshot: Snapshot = Object.freeze({
    id: digestOf([settings.defaultNamespace, ...roots.map((root) => digestOf(toPlain(root))).toSorted()]),
    vocabulary: context.expressions.vocabulary,
    handlers: defined(registries.handlers),
    instances: defined(registries.instances),
    rules: [...rules.values()],
    defaultNamespace: settings.defaultNamespace,
    warnings: sorted,
  })
  return { snapshot, problems: sorted, counts }
}

function readObjects(
  roots: readonly MapNode[],
  options: CompileContext['options'],
  problems: ProblemList,
): readonly ConfigObject[] {
  const objects = new Map<string, ConfigObject>()
  for (const root of roots) {
    const object = readObject(root, options, problems)
    if (object === undefined) continue
    const first = objects.get(object.fullName)
    if (first === undefined) {
      objects.set(object.fullName, object)
    } else {
      const message = `"${object.fullName}" is declared already at ${placeOf(first.nameNode)}: rename or remove one.`
      problems.error(object.nameNode, 'duplicate-object', message)
    }
  }
  return [...objects.values()]
}

function readVocabulary(objects: readonly ConfigObject[], maxSteps: number, problems: ProblemList): ExpressionSet {
  const builder = new VocabularyBuilder(problems)
  for (const object of objects) if (object.role.role === 'manifest') builder.add(object)
  return new ExpressionSet(builder.vocabulary, maxSteps, problems)
}

/** Rules in their order: those of the default namespace first, then by namespace and name. */
function compileRules(
  objects: readonly ConfigObject[],
  registries: Registries,
  context: CompileContext,
): RulesByObject {
  const { defaultNamespace } = context.options
  const sorted = objects
    .filter(({ role }) => role.role === 'rule')
    .toSorted(
      (a, b) =>
        Number(b.namespace === defaultNamespace) - Number(a.namespace === defaultNamespace) ||
        compareText(a.namespace, b.namespace) ||
        compareText(a.name, b.name),
    )
  const rules = new Map<ConfigObject, RuleConfig>()
  for (const object of sorted) {
    const rule = compileRule(object, registries, context)
    if (rule !== undefined) rules.set(object, rule)
  }
  return rules
}

function defined<T>(registry: ReadonlyMap<string, T | undefined>): ReadonlyMap<string, T> {
  return new Map([...registry].filter((entry): entry is [string, T] => entry[1] !== undefined))
}
