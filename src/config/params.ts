// Handler params: from YAML to what an adapter's schema parses. Keys are normalised where the schema names them and kept
// where they are the operator's own (record keys); every issue is mapped back to its place.

import { messageOf } from '../kernel/errors.ts'
import type { z } from 'zod'
import type { ConfigIssue } from '../adapter-kit/define-adapter.ts'
import { type ConfigNode, type MapNode, toPlain } from './config-node.ts'
import { camelCase } from './fields.ts'
import { explainIssue, type SchemaIssue } from './schema-issue.ts'
import type { ProblemList } from './problem-list.ts'
import { objectShape, optionFor, unwrap } from './schema-walk.ts'
import { suggest } from '../kernel/suggest.ts'

/** What came of a handler's params: the normalised text (for digests) and what the schema made of it. */
export interface ParsedParams {
  readonly normalised: unknown
  readonly parsed: unknown
}

/**
 * Parses params by a schema. `owner` is where problems of missing params are shown; `settings` are names that belong to
 * the handler, for those who write them among the params.
 * @returns `undefined` when there was at least one error, all of which have been reported.
 */
export function parseParams(
  params: MapNode | undefined,
  owner: ConfigNode,
  schema: z.ZodType,
  problems: ProblemList,
  settings: readonly string[] = [],
): ParsedParams | undefined {
  const normaliser = new Normaliser(problems, settings)
  const normalised = params === undefined ? {} : normaliser.read(params, schema)
  const root = params ?? owner
  try {
    const result = schema.safeParse(normalised)
    if (result.success) return normaliser.failed ? undefined : { normalised, parsed: result.data }
    reportIssues(result.error.issues, root, problems)
  } catch (error) {
    problems.error(root, 'invalid-params', `the params cannot be read: ${messageOf(error)}`)
  }
  return undefined
}

/** Reports what an adapter's own validation found. */
export function reportConfigIssues(
  issues: readonly ConfigIssue[],
  params: MapNode | undefined,
  owner: ConfigNode,
  problems: ProblemList,
): void {
  for (const { path, message } of issues) {
    const { node } = locate(params ?? owner, path)
    problems.error(node, 'invalid-params', message)
  }
}

class Normaliser {
  failed = false
  readonly #problems: ProblemList
  readonly #settings: readonly string[]

  constructor(problems: ProblemList, settings: readonly string[]) {
    this.#problems = problems
    this.#settings = settings
  }

  read(node: ConfigNode, schema: z.core.$ZodType | undefined): unknown {
    const plain = schema === undefined ? undefined : optionFor(unwrap(schema), node)
    if (plain === undefined || node.kind === 'scalar') return toPlain(node)
    const { def } = plain._zod
    if (node.kind === 'list') {
      const element = def.type === 'array' ? (def as z.core.$ZodArrayDef).element : undefined
      const items = def.type === 'tuple' ? (def as z.core.$ZodTupleDef).items : undefined
      return node.items.map((item, i) => this.read(item, element ?? items?.[i]))
    }
    if (def.type === 'record') return this.#entries(node, (def as z.core.$ZodRecordDef).valueType)
    const shape = objectShape(plain)
    return shape === undefined ? toPlain(node) : this.#object(node, shape.fields, shape.rest)
  }

  #entries(node: MapNode, valueType: z.core.$ZodType): unknown {
    return Object.fromEntries(node.entries.map(({ key, value }) => [key, this.read(value, valueType)]))
  }

  #object(node: MapNode, fields: ReadonlyMap<string, z.core.$ZodType>, rest: z.core.$ZodType | undefined): unknown {
    const found = new Map<string, unknown>()
    for (const { key, keyNode, value } of node.entries) {
      const name = fields.has(key) || !fields.has(camelCase(key)) ? key : camelCase(key)
      const schema = fields.get(name) ?? rest
      if (schema === undefined) {
        this.#fail(keyNode, 'unknown-field', this.#unknown(key, fields.keys()))
      } else if (found.has(name)) {
        this.#fail(keyNode, 'duplicate-field', `"${key}" sets the param "${name}" a second time: keep one.`)
      } else if (value.kind !== 'scalar' || value.value !== undefined) {
        found.set(name, this.read(value, schema))
      }
    }
    return Object.fromEntries(found)
  }

  #unknown(key: string, known: Iterable<string>): string {
    if (!this.#settings.includes(key)) return `unknown param "${key}".${suggest(key, known)}`
    return (
      `"${key}" is no param of the adapter but a setting of its handler: write it beside "params" in intermix.dev/v1, ` +
      `or as the annotation policy.intermix.dev/${key}.`
    )
  }

  #fail(node: ConfigNode, code: string, message: string): void {
    this.failed = true
    this.#problems.error(node, code, message)
  }
}

function reportIssues(issues: readonly SchemaIssue[], root: ConfigNode, problems: ProblemList): void {
  const told = new Set<string>()
  for (const issue of issues) {
    // Unknown keys have been reported while normalising, with suggestions.
    if (issue.code === 'unrecognized_keys') continue
    const { node, missing } = locate(root, issue.path)
    const message =
      missing === undefined
        ? explainIssue(issue, node)
        : `the param "${missing}" is missing: ${explainIssue(issue, undefined)}`
    // Two checks of one value may say the same.
    const key = JSON.stringify([issue.path, message])
    if (!told.has(key)) problems.error(node, 'invalid-params', message)
    told.add(key)
  }
}

/** The node at a path of (normalised) keys, or the last one that exists and the first key that does not. */
function locate(root: ConfigNode, path: readonly PropertyKey[]): { node: ConfigNode; missing?: string } {
  let node = root
  for (const step of path) {
    const next = childOf(node, step)
    if (next === undefined) return { node, missing: String(step) }
    node = next
  }
  return { node }
}

function childOf(node: ConfigNode, step: PropertyKey): ConfigNode | undefined {
  if (node.kind === 'list') return typeof step === 'number' ? node.items[step] : undefined
  if (node.kind !== 'map') return undefined
  const entry = node.entries.find(({ key }) => key === step) ?? node.entries.find(({ key }) => camelCase(key) === step)
  if (entry === undefined || (entry.value.kind === 'scalar' && entry.value.value === undefined)) return undefined
  return entry.value
}
