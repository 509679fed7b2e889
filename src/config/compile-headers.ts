// Header operations of rules, with values from attributes and from the output of named actions.

import type { CompiledExpression, Dialect } from '../expression/compiled.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { isHeaderName } from '../kernel/header-field.ts'
import type { ValueType } from '../kernel/value.ts'
import type { CompileContext, ExpressionSite } from './compile-context.ts'
import type { ConfigNode, ListNode } from './config-node.ts'
import { Fields, snakeCase } from './fields.ts'
import type { ActionConfig, HeaderTemplate } from './snapshot.ts'
import { readChoice } from './values.ts'

const OPERATIONS = ['REPLACE', 'REMOVE', 'APPEND'] as const
/** `<action>.output.<field>`, one level of nesting included; what is called is no field. */
const OUTPUT = /(?<![\w.])(\w+)\.output\.(\w+(?:\.\w+(?!\w|\s*\())?)/g
const PSEUDO_HEADERS = [':path', ':authority', ':method']

/** The rule that the headers belong to; their expressions are added to `sites`, the outputs that they read to `outputs`. */
interface HeaderFrame {
  readonly actions: readonly ActionConfig[]
  readonly dialect: Dialect
  readonly sites: ExpressionSite[]
  /** Takes in each output that a value reads. */
  readonly outputs: Set<string>
}

/**
 * Compiles a list of header operations. Values may read `<action>.output.<field>`, which the bag then holds under that
 * name; where a template does not declare its output, the field is taken as STRING. Such a name is an output only if the
 * rule has an action of that name; then it is never an attribute, though a manifest may declare one (which is warned of).
 */
export function compileHeaders(
  list: ListNode | undefined,
  side: 'request' | 'response',
  rule: HeaderFrame,
  context: CompileContext,
): readonly HeaderTemplate[] {
  return (list?.items ?? []).flatMap((item) => {
    const header = compileHeader(item, side, rule, context)
    return header === undefined ? [] : [header]
  })
}

function compileHeader(
  item: ConfigNode,
  side: 'request' | 'response',
  rule: HeaderFrame,
  context: CompileContext,
): HeaderTemplate | undefined {
  const { problems } = context
  if (item.kind !== 'map') {
    problems.error(item, 'wrong-type', 'a header operation is a map of name, values and operation.')
    return undefined
  }
  const fields = new Fields(item, 'a header operation', ['name', 'values', 'operation'], problems)
  const nameNode = fields.scalar('name')
  const name = nameNode?.text.toLowerCase() ?? ''
  if (nameNode === undefined) {
    problems.error(item, 'missing-field', 'the header operation has no "name".')
  } else if (!isHeaderName(name) && !(side === 'request' && PSEUDO_HEADERS.includes(name))) {
    const message = `"${nameNode.text}" is not a header name${name.startsWith(':') ? ' that may be changed here' : ''}.`
    problems.error(nameNode, 'invalid-value', message)
  }
  const operationNode = fields.scalar('operation')
  const operation = operationNode === undefined ? 'REPLACE' : readChoice(operationNode, OPERATIONS, problems)
  const valueNodes = fields.get('values')
  const nodes = valueNodes?.kind === 'list' ? valueNodes.items : valueNodes === undefined ? [] : [valueNodes]
  if (operation !== 'REMOVE' && operation !== undefined && nodes.length === 0) {
    problems.error(item, 'missing-field', `the header operation ${operation} needs "values".`)
  }
  const values = nodes.map((node) => compileValue(node, rule, context))
  if (operation === undefined || name === '') return undefined
  return Object.freeze({ name, operation, values: values.filter((value) => value !== undefined) })
}

function compileValue(
  node: ConfigNode,
  rule: HeaderFrame,
  { expressions, problems }: CompileContext,
): CompiledExpression | undefined {
  const outputs = new Map(outputsIn(node.kind === 'scalar' ? node.text : '', rule.actions))
  const vocabulary: Vocabulary | undefined =
    outputs.size === 0 ? undefined : new Map([...expressions.vocabulary, ...outputs])
  const expression = expressions.compile(node, {
    dialect: rule.dialect,
    expected: 'STRING',
    ...(vocabulary === undefined ? {} : { vocabulary }),
  })
  if (expression === undefined || node.kind !== 'scalar') return expression
  rule.sites.push({ node, expression })
  for (const name of new Set(expression.references.map(({ attribute }) => attribute))) {
    if (!outputs.has(name)) continue
    rule.outputs.add(name)
    if (!expressions.vocabulary.has(name)) continue
    const message = `"${name}" is the output of the action here, not the attribute of that name: rename the action to read the attribute.`
    problems.warn(node, 'ambiguous-output', message)
  }
  return expression
}

/** Every `<action>.output.<field>` that a text reads, with its type. */
function outputsIn(text: string, actions: readonly ActionConfig[]): readonly [string, ValueType][] {
  const found: [string, ValueType][] = []
  for (const [full, action = '', field = ''] of text.matchAll(OUTPUT)) {
    const named = actions.find(({ name }) => name === action)
    if (named === undefined) continue
    const output = named.instances.find(({ template }) => template.output !== undefined)?.template.output
    if (output === undefined) {
      found.push([full, 'STRING'])
    } else {
      const entry = Object.entries(output).find(([name]) => name === field || snakeCase(name) === field)
      if (entry !== undefined) found.push([full, entry[1]])
    }
  }
  return found
}
