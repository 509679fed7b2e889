// What was made of instances and rules under one vocabulary. An instance depends on nothing else; a rule also on the
// handlers and instances that its references lead to.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import type { CompileContext, ExpressionSite, Registries, RuleLinks } from './compile-context.ts'
import { compileInstance } from './compile-instance.ts'
import { compileRule } from './compile-rule.ts'
import type { ExpressionSet } from './expression-set.ts'
import { resolve } from './names.ts'
import type { ConfigObject } from './objects.ts'
import { Remembered } from './remembered.ts'
import type { HandlerConfig, InstanceConfig, RuleConfig } from './snapshot.ts'

type Sites = ReadonlyMap<string, readonly ExpressionSite[]>

interface Instance {
  readonly config: InstanceConfig | undefined
  readonly sites: Sites
}

interface Rule {
  readonly rule: RuleConfig | undefined
  readonly sites: Sites
  readonly links: RuleLinks
  /** Handlers and instances that the rule declares in place. */
  readonly handlers: ReadonlyMap<string, HandlerConfig | undefined>
  readonly instances: ReadonlyMap<string, InstanceConfig | undefined>
}

export class ObjectMemory {
  readonly vocabulary: Vocabulary
  /** The expressions of the latest config. */
  expressions: ExpressionSet | undefined
  readonly #instances = new Remembered<ConfigObject, Instance>()
  readonly #rules = new Remembered<ConfigObject, Rule>()

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary
  }

  /** Compiles an instance, unless that was done already. */
  instance(object: ConfigObject, context: CompileContext): InstanceConfig | undefined {
    const { config, sites } = this.#instances.get(object, context.problems, () => {
      const own = new Map<string, readonly ExpressionSite[]>()
      return { config: compileInstance(object, { ...context, sites: own }), sites: own }
    })
    for (const [name, list] of sites) context.sites.set(name, list)
    return config
  }

  /**
   * Compiles a rule, unless that was done already and its references lead to the same objects still. Adds what the rule
   * declares in place to the registries, and the full names of what it uses to `used`.
   */
  rule(
    object: ConfigObject,
    registries: Registries,
    used: Set<string>,
    context: CompileContext,
  ): RuleConfig | undefined {
    const make = (): Rule => {
      const sites = new Map<string, readonly ExpressionSite[]>()
      const links: RuleLinks = { references: [], declared: [] }
      const rule = compileRule(object, registries, links, { ...context, sites })
      const pick = <T>(registry: ReadonlyMap<string, T>) =>
        new Map(
          [...links.declared].flatMap((name): [string, T][] => {
            const found = registry.get(name)
            return found === undefined ? [] : [[name, found]]
          }),
        )
      return { rule, sites, links, handlers: pick(registries.handlers), instances: pick(registries.instances) }
    }
    const isRight = (known: Rule) => leadsToTheSame(known.links, object.namespace, registries)
    const { rule, sites, links, handlers, instances } = this.#rules.get(object, context.problems, make, isRight)
    for (const [name, list] of sites) context.sites.set(name, list)
    for (const [name, handler] of handlers) registries.handlers.set(name, handler)
    for (const [name, instance] of instances) registries.instances.set(name, instance)
    for (const { fullName } of links.references) used.add(fullName)
    for (const name of links.declared) used.add(name)
    return rule
  }
}

function leadsToTheSame({ references, declared }: RuleLinks, namespace: string, registries: Registries): boolean {
  // Declared in place by another rule, or as an object: compiling says so.
  if (declared.some((name) => registries.handlers.has(name) || registries.instances.has(name))) return false
  return references.every(({ kind, text, fullName, target }) => {
    const registry = kind === 'handler' ? registries.handlers : registries.instances
    const found = resolve(text, kind, namespace, registry)
    return 'fullName' in found && found.fullName === fullName && registry.get(fullName) === target
  })
}
