// A rule's actions: references to handlers and instances, or both written in place.

import { templatesOf } from '../adapter-kit/templates.ts'
import type { Dialect } from '../expression/compiled.ts'
import type { CompileContext, Registries, RuleLinks } from './compile-context.ts'
import { compileInlineHandler } from './compile-handler.ts'
import { compileInlineInstance } from './compile-instance.ts'
import type { ConfigNode, ListNode, MapNode } from './config-node.ts'
import { Fields } from './fields.ts'
import { INTERMIX_API } from './kinds.ts'
import { resolve } from './names.ts'
import type { ConfigObject } from './objects.ts'
import type { ActionConfig, HandlerConfig, InstanceConfig } from './snapshot.ts'

interface RuleFrame {
  readonly object: ConfigObject
  readonly dialect: Dialect
  /** Filled while the actions are compiled. */
  readonly links: RuleLinks
}

/** Compiles the actions of a rule; those with an error are left out after reporting it. */
export function compileActions(
  list: ListNode | undefined,
  rule: RuleFrame,
  registries: Registries,
  context: CompileContext,
): readonly ActionConfig[] {
  const names = new Set<string>()
  const compiler = new ActionCompiler(rule, registries, context)
  return (list?.items ?? []).flatMap((item, index) => {
    const action = compiler.compile(item, index, names)
    return action === undefined ? [] : [action]
  })
}

class ActionCompiler {
  readonly #rule: RuleFrame
  readonly #registries: Registries
  readonly #context: CompileContext

  constructor(rule: RuleFrame, registries: Registries, context: CompileContext) {
    this.#rule = rule
    this.#registries = registries
    this.#context = context
  }

  compile(item: ConfigNode, index: number, names: Set<string>): ActionConfig | undefined {
    const { problems } = this.#context
    if (item.kind !== 'map') {
      problems.error(item, 'wrong-type', 'an action is a map of handler and instances.')
      return undefined
    }
    const fields = new Fields(item, 'an action', ['handler', 'instances', 'name'], problems)
    const nameNode = fields.scalar('name')
    const name = nameNode?.text
    if (nameNode !== undefined && !/^[A-Za-z_]\w*$/.test(nameNode.text)) {
      problems.error(nameNode, 'invalid-name', 'the name of an action is made of letters, digits and "_".')
    } else if (nameNode !== undefined && names.has(nameNode.text)) {
      problems.error(nameNode, 'duplicate-name', `another action of this rule is named "${nameNode.text}".`)
    }
    if (name !== undefined) names.add(name)
    const handler = this.#handler(fields.get('handler'), item, index)
    const list = fields.list('instances')
    if (fields.get('instances') === undefined || list?.items.length === 0) {
      problems.error(
        list ?? item,
        'missing-field',
        'the action has no "instances": a handler is called with at least one.',
      )
    }
    const instances = this.#instances(list?.items ?? [], index, handler)
    return handler === undefined || instances.length === 0 ? undefined : Object.freeze({ name, handler, instances })
  }

  #handler(node: ConfigNode | undefined, action: MapNode, index: number): HandlerConfig | undefined {
    const { problems } = this.#context
    const { handlers } = this.#registries
    if (node === undefined) {
      problems.error(action, 'missing-field', 'the action names no "handler".')
      return undefined
    }
    if (node.kind === 'map') {
      const fullName = this.#inlineName(node, 'handler', String(index + 1), handlers)
      if (fullName === undefined) return undefined
      const handler = compileInlineHandler(node, fullName, this.#context)
      handlers.set(fullName, handler)
      return handler
    }
    return this.#reference(node, 'handler', handlers)
  }

  #instances(
    nodes: readonly ConfigNode[],
    action: number,
    handler: HandlerConfig | undefined,
  ): readonly InstanceConfig[] {
    const { problems } = this.#context
    const found = new Map<string, InstanceConfig>()
    const taken = handler && templatesOf(handler.adapter)
    for (const [index, node] of nodes.entries()) {
      const instance = this.#instance(node, `${action + 1}-${index + 1}`)
      if (instance === undefined) continue
      const { template } = instance
      if (found.has(instance.name)) {
        problems.error(node, 'duplicate-instance', `the instance "${instance.name}" is in this action twice: keep one.`)
      } else if (taken?.has(template.name) === false) {
        const takes = [...taken.keys()].join(', ')
        const message = `the adapter "${handler?.adapter.name}" does not take the template "${template.name}": it takes ${takes}.`
        problems.error(node, 'unsupported-template', message)
      }
      found.set(instance.name, instance)
    }
    return [...found.values()]
  }

  #instance(node: ConfigNode, suffix: string): InstanceConfig | undefined {
    const { instances } = this.#registries
    if (node.kind !== 'map') return this.#reference(node, 'instance', instances)
    const fullName = this.#inlineName(node, 'instance', suffix, instances)
    if (fullName === undefined) return undefined
    const instance = compileInlineInstance(node, { fullName, dialect: this.#rule.dialect }, this.#context)
    instances.set(fullName, instance)
    return instance
  }

  #reference<T extends HandlerConfig | InstanceConfig>(
    node: ConfigNode,
    kind: 'handler' | 'instance',
    registry: ReadonlyMap<string, T | undefined>,
  ): T | undefined {
    const { problems } = this.#context
    if (node.kind !== 'scalar') {
      problems.error(node, 'wrong-type', `this must be the name of the ${kind}.`)
      return undefined
    }
    const found = resolve(node.text, kind, this.#rule.object.namespace, registry)
    if ('hint' in found) {
      problems.error(node, `unknown-${kind}`, `unknown ${kind} "${node.text}".${found.hint}`)
      return undefined
    }
    const target = registry.get(found.fullName)
    this.#rule.links.references.push({ kind, text: node.text, fullName: found.fullName, target })
    return target
  }

  /** `<rule>-<suffix>` or the name that the inline object gives itself, completed; reports what is not allowed. */
  #inlineName(
    node: MapNode,
    kind: 'handler' | 'instance',
    suffix: string,
    registry: ReadonlyMap<string, unknown>,
  ): string | undefined {
    const { problems } = this.#context
    const { object } = this.#rule
    if (object.api !== INTERMIX_API) {
      const what = kind === 'handler' ? 'a handler' : 'an instance'
      const message = `${what} can be written within a rule only under apiVersion ${INTERMIX_API}: name one here.`
      problems.error(node, 'inline-not-allowed', message)
      return undefined
    }
    const own = node.entries.find(({ key }) => key === 'name')?.value
    const name = own?.kind === 'scalar' && own.text !== '' ? own.text : `${object.name}-${suffix}`
    const fullName = `${name}.${kind}.${object.namespace}`
    this.#rule.links.declared.push(fullName)
    if (!registry.has(fullName)) return fullName
    const message = `"${fullName}" exists already: give this ${kind} another "name".`
    problems.error(own ?? node, 'duplicate-object', message)
    return undefined
  }
}
