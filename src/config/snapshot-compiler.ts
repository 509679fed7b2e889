// From documents to a snapshot: everything is checked, all problems are told, and any error means no snapshot. A compiler
// remembers what it made of objects: those that come again unchanged, by the same nodes, are not compiled again.

import type { TemplateDefinition } from '../adapter-kit/template.ts'
import { knownTemplates } from '../adapter-kit/templates.ts'
import { DEFAULT_MAX_STEPS } from '../expression/steps.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { Problem } from '../kernel/problem.ts'
import type { CompileContext, CompileSnapshotOptions, Registries } from './compile-context.ts'
import { compileHandler } from './compile-handler.ts'
import { VocabularyBuilder } from './compile-manifest.ts'
import { type MapNode, toPlain } from './config-node.ts'
import { digestOf } from './digest.ts'
import { ExpressionSet } from './expression-set.ts'
import { ObjectMemory } from './object-memory.ts'
import { type ConfigObject, readObject } from './objects.ts'
import type { LoadedConfig } from './parse-text.ts'
import { compareText, placeOf, ProblemList, sortProblems } from './problem-list.ts'
import { Remembered } from './remembered.ts'
import { reportDigest } from './report-digest.ts'
import type { Sliced } from './slices.ts'
import type { HandlerConfig, RuleConfig, Snapshot } from './snapshot.ts'
import { type RulesByObject, warnOfDoubts } from './warnings.ts'

const DEFAULTS = {
  defaultNamespace: 'istio-system',
  defaultTimeoutMs: 200,
  defaultReportTimeoutMs: 5_000,
  maxEvaluationSteps: DEFAULT_MAX_STEPS,
  requireRules: false,
  processes: 1,
}

/** What came of compiling: a snapshot only when no problem is an error. */
export interface CompiledConfig {
  readonly snapshot: Snapshot | undefined
  /** Errors and warnings, those of loading included, by place. */
  readonly problems: readonly Problem[]
  /** How many objects and rules were found, whether or not they are right. */
  readonly counts: { readonly objects: number; readonly rules: number }
}

export class SnapshotCompiler {
  readonly #options: Required<CompileSnapshotOptions>
  readonly #templates: ReadonlyMap<string, TemplateDefinition>
  readonly #objects = new Remembered<MapNode, ConfigObject | undefined>()
  readonly #handlers = new Remembered<ConfigObject, HandlerConfig | undefined>()
  readonly #digests = new WeakMap<MapNode, string>()
  /** What was made under the vocabulary of the latest config. */
  #memory: ObjectMemory | undefined

  constructor(options: CompileSnapshotOptions) {
    this.#options = { ...DEFAULTS, ...options }
    this.#templates = knownTemplates(options.adapters.values())
  }

  /** Compiles a loaded config as a whole. Never throws; the same documents give the same snapshot id. */
  *compile(loaded: LoadedConfig): Sliced<CompiledConfig> {
    const problems = new ProblemList()
    for (const problem of loaded.problems) problems.push(problem)
    const roots = loaded.documents.map(({ root }) => root)
    const objects = yield* this.#readObjects(roots, problems)
    const memory = this.#memoryFor(objects, problems)
    const context: CompileContext = {
      options: this.#options,
      templates: this.#templates,
      problems,
      expressions: new ExpressionSet(memory.vocabulary, this.#options.maxEvaluationSteps, problems, memory.expressions),
      sites: new Map(),
    }
    const registries: Registries = { handlers: new Map(), instances: new Map() }
    for (const object of objects) {
      const { role } = object.role
      if (role === 'handler') {
        const handler = this.#handlers.get(object, problems, () => compileHandler(object, context))
        registries.handlers.set(object.fullName, handler)
      }
      if (role === 'instance') registries.instances.set(object.fullName, memory.instance(object, context))
      yield
    }
    const used = new Set<string>()
    const rules = yield* this.#compileRules(objects, memory, { registries, used }, context)
    if (rules.size === 0) this.#tellOfNoRules(loaded, problems)
    // Beside errors, doubts are mostly their consequences.
    if (problems.errorCount === 0)
      yield* warnOfDoubts({ objects, rules, instances: registries.instances, used }, context)
    memory.expressions = context.expressions
    const counts = { objects: objects.length, rules: objects.filter(({ role }) => role.role === 'rule').length }
    const sorted = sortProblems(problems.all)
    if (problems.errorCount > 0) return { snapshot: undefined, problems: sorted, counts }
    const snapshot: Snapshot = Object.freeze({
      id: yield* this.#digest(roots),
      reportDigest: yield* reportDigest(rules.values(), memory.vocabulary, this.#options.defaultNamespace),
      vocabulary: memory.vocabulary,
      handlers: defined(registries.handlers),
      instances: defined(registries.instances),
      rules: [...rules.values()],
      defaultNamespace: this.#options.defaultNamespace,
      warnings: sorted,
    })
    return { snapshot, problems: sorted, counts }
  }

  *#readObjects(roots: readonly MapNode[], problems: ProblemList): Sliced<readonly ConfigObject[]> {
    const objects = new Map<string, ConfigObject>()
    for (const root of roots) {
      yield
      const object = this.#objects.get(root, problems, () => readObject(root, this.#options, problems))
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

  /** What is known of objects under the vocabulary of a config; nothing where another one came before. */
  #memoryFor(objects: readonly ConfigObject[], problems: ProblemList): ObjectMemory {
    const builder = new VocabularyBuilder(problems)
    for (const object of objects) if (object.role.role === 'manifest') builder.add(object)
    if (this.#memory === undefined || !isSame(this.#memory.vocabulary, builder.vocabulary)) {
      this.#memory = new ObjectMemory(builder.vocabulary)
    }
    return this.#memory
  }

  /** Rules in their order: those of the default namespace first, then by namespace and name. */
  *#compileRules(
    objects: readonly ConfigObject[],
    memory: ObjectMemory,
    { registries, used }: { readonly registries: Registries; readonly used: Set<string> },
    context: CompileContext,
  ): Sliced<RulesByObject> {
    const { defaultNamespace } = this.#options
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
      yield
      const rule = memory.rule(object, registries, used, context)
      if (rule !== undefined) rules.set(object, rule)
    }
    return rules
  }

  #tellOfNoRules({ name }: LoadedConfig, problems: ProblemList): void {
    const refused = this.#options.requireRules
    const message = refused
      ? 'the config has no rules, and rules are required: add one, or go without --require-rules.'
      : 'the config has no rules: every check is allowed. With --require-rules such a config is refused.'
    const place = { code: 'no-rules', file: name, line: 0, column: 0, path: '' }
    if (problems.errorCount === 0) problems.push({ severity: refused ? 'error' : 'warning', ...place, message })
  }

  *#digest(roots: readonly MapNode[]): Sliced<string> {
    const digests: string[] = []
    for (const root of roots) {
      let digest = this.#digests.get(root)
      if (digest === undefined) this.#digests.set(root, (digest = digestOf(toPlain(root))))
      digests.push(digest)
      yield
    }
    return digestOf([this.#options.defaultNamespace, ...digests.toSorted()])
  }
}

function isSame(a: Vocabulary, b: Vocabulary): boolean {
  return a.size === b.size && [...b].every(([name, type]) => a.get(name) === type)
}

function defined<T>(registry: ReadonlyMap<string, T | undefined>): ReadonlyMap<string, T> {
  return new Map([...registry].filter((entry): entry is [string, T] => entry[1] !== undefined))
}
