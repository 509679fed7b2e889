// The type checker's environment: attributes as nested message types, and the functions that Mixer adds to CEL.

import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { ValueType } from '../../kernel/value.ts'
import { type AttributeNode, attributeTree } from './attribute-tree.ts'
import { parserName } from './prepare.ts'
import { CEL_TYPES, Wrapped } from './values.ts'

export interface CelEnvironment {
  readonly environment: Environment
  readonly tree: AttributeNode
}

/** Message types are named by the attributes' prefix after this. */
const PREFIX = 'attributes.'

const MAX_PICK = 16

/** Building an environment is costly, and a vocabulary has many expressions. */
const environments = new WeakMap<Vocabulary, CelEnvironment>()

/** The environment of a vocabulary, which must not change afterwards. */
export function environmentOf(vocabulary: Vocabulary): CelEnvironment {
  const known = environments.get(vocabulary)
  if (known !== undefined) return known
  const built = build(vocabulary)
  environments.set(vocabulary, built)
  return built
}

/** The checker's names of types as Mixer's messages show them. */
export function mixerTypeNames(text: string): string {
  return text.replaceAll(PREFIX, '.')
}

function build(vocabulary: Vocabulary): CelEnvironment {
  const tree = attributeTree(vocabulary)
  const environment = new Environment({ unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false })
  for (const type of ['IP_ADDRESS', 'EMAIL_ADDRESS', 'URI', 'DNS_NAME'] as const) {
    environment.registerType(CEL_TYPES[type], { ctor: class extends Wrapped {}, fields: {} })
    environment.registerOperator(`${CEL_TYPES[type]} == ${CEL_TYPES[type]}`, onlyChecked)
  }
  // CEL's own names, such as `int` and `type`, stay its own: CEXL alone can read an attribute that is called so.
  const own = new Set(environment.getDefinitions().variables.map(({ name }) => name))
  for (const [word, node] of tree.children) {
    if (!own.has(word)) environment.registerVariable(parserName(word), register(environment, node))
  }
  for (const signature of OPERATORS) environment.registerOperator(signature, onlyChecked)
  for (const signature of SIGNATURES) environment.registerFunction(signature, onlyChecked)
  for (let arity = 1; arity <= MAX_PICK; arity++) {
    environment.registerFunction(`pick(${Array(arity).fill('ast').join(', ')}): dyn`, checkSameTypes('pick', 0))
  }
  environment.registerFunction('conditional(ast, ast, ast): dyn', checkSameTypes('conditional', 1))
  return { environment, tree }
}

const wrapped = (name: string, type: ValueType) => `${name}(string): ${CEL_TYPES[type]}`

const SIGNATURES = [
  wrapped('ip', 'IP_ADDRESS'),
  wrapped('email', 'EMAIL_ADDRESS'),
  wrapped('dnsName', 'DNS_NAME'),
  wrapped('uri', 'URI'),
  'match(string, string): bool',
  'reverse(string): string',
  'string.reverse(): string',
  'toLower(string): string',
  'emptyStringMap(): map<string, string>',
  'string(google.protobuf.Timestamp): string',
  'string(google.protobuf.Duration): string',
  'int(google.protobuf.Timestamp): int',
  'int(uint): int',
  'timestamp(google.protobuf.Timestamp): google.protobuf.Timestamp',
  'duration(google.protobuf.Duration): google.protobuf.Duration',
]

const OPERATORS = ['<', '<=', '>', '>='].map((operator) => `bytes ${operator} bytes: bool`)

/** The environment parses and checks; evaluation is done by own closures. */
function onlyChecked(): never {
  throw new Error('the checking environment does not evaluate')
}

function register(environment: Environment, node: AttributeNode): string {
  if (node.type !== undefined) return CEL_TYPES[node.type]
  const name = PREFIX + node.name
  const fields = [...node.children].map(([word, child]) => [word, register(environment, child)] as const)
  environment.registerType({ name, schema: Object.fromEntries(fields) })
  return name
}

interface MacroChecker {
  check(node: ASTNode, context: unknown): { readonly name: string }
  createError(code: string, message: string, node: ASTNode): Error
  readonly boolType: unknown
}

/** A function whose arguments after the first `conditions` ones (which are booleans) have one type, its result's. */
function checkSameTypes(name: string, conditions: number) {
  return ({ args }: { args: readonly ASTNode[] }) => ({
    typeCheck(checker: MacroChecker, _macro: unknown, context: unknown) {
      const types = args.map((arg) => checker.check(arg, context))
      const [type] = types.slice(conditions)
      const wrong = types.findIndex((other, i) => {
        const expected = i < conditions ? 'bool' : type?.name
        return other.name !== expected && other.name !== 'dyn' && !/\b[A-Z]\b/.test(other.name)
      })
      const node = args[wrong]
      if (node === undefined) return type
      const given = types.map((given) => given.name).join(', ')
      throw checker.createError('no_matching_overload', `found no matching overload for '${name}(${given})'`, node)
    },
    evaluate: onlyChecked,
  })
}
