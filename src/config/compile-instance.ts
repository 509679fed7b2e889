// Instances: a template's fields, each filled by an expression.

import type { FieldType, FieldTypes, TemplateDefinition } from '../adapter-kit/template.ts'
import type { CompiledExpression, Dialect } from '../expression/compiled.ts'
import { compileBindings, outputNames } from './bindings.ts'
import type { CompileContext, ExpressionSite } from './compile-context.ts'
import type { ConfigNode, MapEntry, MapNode, ScalarNode } from './config-node.ts'
import { digestOf } from './digest.ts'
import { referencedTypes } from './expression-set.ts'
import { camelCase, Fields, snakeCase } from './fields.ts'
import { type FieldPlan, instanceBuilder } from './instance-builder.ts'
import { INTERMIX_API } from './kinds.ts'
import { type ConfigObject, dialectOf, Extras } from './objects.ts'
import type { InstanceConfig } from './snapshot.ts'
import { suggest } from '../kernel/suggest.ts'

interface InstanceSource {
  readonly fullName: string
  readonly template: TemplateDefinition
  readonly params: MapNode | undefined
  readonly bindings: MapNode | undefined
  readonly dialect: Dialect
}

/** Compiles an `instance` object, or one of a legacy kind whose spec is the params. */
export function compileInstance(object: ConfigObject, context: CompileContext): InstanceConfig | undefined {
  const { problems } = context
  const { fullName, spec, role } = object
  const extras = new Extras(object, ['lang'], problems)
  if (role.role === 'instance' && role.template !== undefined) {
    const { template } = role
    const dialect = dialectOf(object, extras.get('lang'), problems)
    // Attribute generators of the legacy form keep their bindings among the fields.
    const bindings = spec?.entries.find(({ key }) => camelCase(key) === 'attributeBindings')
    const params = spec && { ...spec, entries: spec.entries.filter((entry) => entry !== bindings) }
    return build({ fullName, template, params, bindings: asMap(bindings, context), dialect }, context)
  }
  if (spec === undefined) {
    problems.error(object.nameNode, 'missing-field', 'the instance has no "spec" with its template and params.')
    return undefined
  }
  const own = object.api === INTERMIX_API ? (['lang'] as const) : []
  const names = ['name', 'template', 'compiledTemplate', 'params', 'attributeBindings', ...own] as const
  const annotations = new Map([['lang', 'policy.intermix.dev/lang']])
  const fields = new Fields(spec, 'an instance', names, problems, annotations)
  const template = findTemplate(fields.scalar('compiledTemplate') ?? fields.scalar('template'), spec, context)
  const params = fields.map('params')
  const bindings = fields.map('attributeBindings')
  const dialect = dialectOf(object, extras.get('lang', own.length > 0 ? fields.get('lang') : undefined), problems)
  return template && build({ fullName, template, params, bindings, dialect }, context)
}

/** Compiles an instance that is written within a rule's action. */
export function compileInlineInstance(
  node: MapNode,
  inline: { readonly fullName: string; readonly dialect: Dialect },
  context: CompileContext,
): InstanceConfig | undefined {
  const fields = new Fields(node, 'an instance', ['name', 'template', 'params', 'attributeBindings'], context.problems)
  const template = findTemplate(fields.scalar('template'), node, context)
  const params = fields.map('params')
  const bindings = fields.map('attributeBindings')
  return template && build({ ...inline, template, params, bindings }, context)
}

function findTemplate(
  node: ScalarNode | undefined,
  spec: MapNode,
  { problems, templates }: CompileContext,
): TemplateDefinition | undefined {
  if (node === undefined) {
    problems.error(spec, 'missing-field', 'the instance names no template: add "compiledTemplate".')
    return undefined
  }
  const template = templates.get(node.text)
  if (template === undefined) {
    problems.error(node, 'unknown-template', `unknown template "${node.text}".${suggest(node.text, templates.keys())}`)
  }
  return template
}

function asMap(entry: MapEntry | undefined, { problems }: CompileContext): MapNode | undefined {
  if (entry === undefined || entry.value.kind === 'map') return entry?.value as MapNode | undefined
  problems.error(entry.value, 'wrong-type', `"${entry.key}" must be a map (attribute: expression).`)
  return undefined
}

function build(source: InstanceSource, context: CompileContext): InstanceConfig | undefined {
  const { fullName, template, dialect } = source
  const { problems, expressions: set } = context
  const errorsBefore = problems.errorCount
  const compiler = new FieldCompiler(dialect, context)
  const plan = source.params === undefined ? [] : compiler.fields(source.params, template.fields, template.name, '')
  const bindings =
    source.bindings === undefined
      ? new Map<string, CompiledExpression>()
      : compileBindings(source.bindings, template, dialect, context)
  if (problems.errorCount > errorsBefore) return undefined
  const { expressions, sites } = compiler
  context.sites.set(fullName, sites)
  const content = [...expressions].map(([path, e]) => [path, e.source, referencedTypes(e, set.vocabulary)])
  const bound = [...bindings].map(([name, e]) => [name, e.source, referencedTypes(e, set.vocabulary)])
  const digest = digestOf([fullName, template.name, dialect, content, bound])
  const build = instanceBuilder(fullName, template.name, plan)
  return Object.freeze({
    name: fullName,
    template,
    digest,
    build,
    plan,
    bindings,
    outputs: outputNames(template),
    expressions,
  })
}

/** Compiles the fields of one instance, nested messages included. */
class FieldCompiler {
  readonly expressions = new Map<string, CompiledExpression>()
  readonly sites: ExpressionSite[] = []
  readonly #dialect: Dialect
  readonly #context: CompileContext

  constructor(dialect: Dialect, context: CompileContext) {
    this.#dialect = dialect
    this.#context = context
  }

  fields(node: MapNode, types: FieldTypes, owner: string, path: string): FieldPlan[] {
    const { problems } = this.#context
    const plans = new Map<string, FieldPlan>()
    for (const { key, keyNode, value } of node.entries) {
      const name = Object.hasOwn(types, key) ? key : camelCase(key)
      const type = Object.hasOwn(types, name) ? types[name] : undefined
      if (type === undefined) {
        const known = Object.keys(types)
        const hint =
          known.length === 0 ? ' It has none.' : suggest(key, key.includes('_') ? known.map(snakeCase) : known)
        problems.error(keyNode, 'unknown-field', `the template "${owner}" has no field "${key}".${hint}`)
      } else if (plans.has(name)) {
        problems.error(keyNode, 'duplicate-field', `"${key}" sets the field "${name}" a second time: keep one.`)
      } else {
        const plan = this.#field(name, value, type, owner, path)
        if (plan !== undefined) plans.set(name, plan)
      }
    }
    return [...plans.values()]
  }

  #field(name: string, node: ConfigNode, type: FieldType, owner: string, above: string): FieldPlan | undefined {
    // Mixer takes an empty text as "not set".
    if (node.kind === 'scalar' && node.text === '') return undefined
    const path = above === '' ? name : `${above}.${name}`
    if (typeof type === 'object') {
      const map = this.#map(node, name)
      return map && { kind: 'message', name, fields: this.fields(map, type.message, owner, path) }
    }
    if (type === 'VALUE_MAP') {
      const map = this.#map(node, name)
      return map && { kind: 'map', name, entries: this.#entries(map, path) }
    }
    const expression = this.#expression(node, path, type === 'VALUE' ? undefined : type)
    return expression && { kind: 'value', name, expression }
  }

  #entries(map: MapNode, path: string): readonly (readonly [string, CompiledExpression])[] {
    return map.entries.flatMap(({ key, value }) => {
      const expression = this.#expression(value, `${path}.${key}`, undefined)
      return expression === undefined ? [] : [[key, expression] as const]
    })
  }

  #expression(node: ConfigNode, path: string, expected: CompiledExpression['type'] | undefined) {
    const expression = this.#context.expressions.compile(node, { dialect: this.#dialect, expected })
    if (expression === undefined || node.kind !== 'scalar') return undefined
    this.expressions.set(path, expression)
    this.sites.push({ node, expression })
    return expression
  }

  #map(node: ConfigNode, name: string): MapNode | undefined {
    if (node.kind === 'map') return node
    this.#context.problems.error(node, 'wrong-type', `"${name}" must be a map (key: expression).`)
    return undefined
  }
}
