// Config objects: a document's apiVersion, kind and metadata, checked before anybody looks at its spec.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import type { Dialect } from '../expression/compiled.ts'
import type { ConfigNode, MapEntry, MapNode, ScalarNode } from './config-node.ts'
import { Fields } from './fields.ts'
import { INTERMIX_API, knownKinds, MIXER_API, type ObjectRole, roleOf } from './kinds.ts'
import type { ProblemList } from './problem-list.ts'
import { nearest, suggest } from '../kernel/suggest.ts'

/** One object of the config. */
export interface ConfigObject {
  readonly role: Exclude<ObjectRole, { role: 'ignored' }>
  /** The kind in lower case, as it stands in the full name. */
  readonly kind: string
  readonly name: string
  readonly namespace: string
  /** `name.kind.namespace`. */
  readonly fullName: string
  readonly api: typeof MIXER_API | typeof INTERMIX_API
  readonly annotations: readonly MapEntry[]
  /** Where the object is named, for problems of the object as a whole. */
  readonly nameNode: ScalarNode
  readonly spec: MapNode | undefined
}

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const LANGUAGES: Readonly<Record<string, Dialect>> = { CEL: 'CEL', CEXL: 'CEXL' }
const OURS = 'policy.intermix.dev/'
const ISTIO_LANGUAGE = 'policy.istio.io/lang'

export interface ObjectOptions {
  readonly adapters: ReadonlyMap<string, AnyAdapter>
  readonly defaultNamespace: string
}

/** Reads what a document is. @returns `undefined` for one that is ignored or not usable, after saying why. */
export function readObject(root: MapNode, options: ObjectOptions, problems: ProblemList): ConfigObject | undefined {
  const api = readApi(root, problems)
  if (api === undefined) return undefined
  const fields = new Fields(root, 'an object', ['apiVersion', 'kind', 'metadata', 'spec', 'status'], problems)
  const kind = fields.scalar('kind')
  if (kind === undefined) {
    if (fields.get('kind') === undefined) problems.error(root, 'missing-field', 'the object has no "kind".')
    return undefined
  }
  const role = roleOf(kind.text, options.adapters)
  if (role === undefined) {
    const hint = suggest(kind.text, knownKinds(options.adapters))
    problems.error(kind, 'unknown-kind', `unknown kind "${kind.text}".${hint}`)
    return undefined
  }
  if (role.role === 'ignored') {
    problems.warn(kind, 'ignored-kind', `kind "${kind.text}" ${role.reason}.`)
    return undefined
  }
  const metadata = readMetadata(root, fields.map('metadata'), problems)
  if (metadata === undefined) return undefined
  const { nameNode, annotations } = metadata
  const namespace = metadata.namespace ?? options.defaultNamespace
  const lower = kind.text.toLowerCase()
  const fullName = `${nameNode.text}.${lower}.${namespace}`
  const spec = fields.map('spec')
  return { role, kind: lower, name: nameNode.text, namespace, fullName, api, annotations, nameNode, spec }
}

function readApi(root: MapNode, problems: ProblemList): ConfigObject['api'] | undefined {
  const node = root.entries.find(({ key }) => key === 'apiVersion' || key === 'api_version')?.value
  if (node === undefined || node.kind !== 'scalar' || node.text === '') {
    const message = `the object has no "apiVersion": write "${MIXER_API}" or "${INTERMIX_API}".`
    problems.error(node ?? root, 'missing-field', message)
    return undefined
  }
  if (node.text === MIXER_API || node.text === INTERMIX_API) return node.text
  const [group = ''] = node.text.split('/')
  const ours = [MIXER_API, INTERMIX_API].map((api) => api.split('/')[0] ?? '')
  if (nearest(group, ours).length === 0) {
    problems.warn(node, 'ignored-api', `objects of "${node.text}" are not for Intermix; ignored.`)
  } else {
    const message = `unknown apiVersion "${node.text}": write "${MIXER_API}" or "${INTERMIX_API}".`
    problems.error(node, 'unknown-api-version', message)
  }
  return undefined
}

interface Metadata {
  readonly nameNode: ScalarNode
  readonly namespace: string | undefined
  readonly annotations: readonly MapEntry[]
}

/** Reads metadata; what else Kubernetes keeps there (labels, uid, managedFields …) is none of our business. */
function readMetadata(root: MapNode, metadata: MapNode | undefined, problems: ProblemList): Metadata | undefined {
  const find = (name: string) => metadata?.entries.find(({ key }) => key === name)?.value
  const nameNode = find('name')
  if (nameNode === undefined || nameNode.kind !== 'scalar' || nameNode.text === '') {
    problems.error(nameNode ?? metadata ?? root, 'missing-field', 'the object has no "metadata.name".')
    return undefined
  }
  const namespace = find('namespace')
  for (const node of [nameNode, ...(namespace === undefined ? [] : [namespace])]) {
    if (node.kind !== 'scalar' || (node.text !== '' && !NAME.test(node.text))) {
      problems.error(node, 'invalid-name', 'a name is made of letters, digits, "-", "_" and ".".')
    }
  }
  const annotations = find('annotations')
  if (annotations !== undefined && annotations.kind !== 'map' && !isEmpty(annotations)) {
    problems.error(annotations, 'wrong-type', '"annotations" must be a map of texts (key: value).')
  }
  return {
    nameNode,
    namespace: namespace?.kind === 'scalar' && namespace.text !== '' ? namespace.text : undefined,
    annotations: annotations?.kind === 'map' ? annotations.entries : [],
  }
}

function isEmpty(node: ConfigNode): boolean {
  return node.kind === 'scalar' && node.value === undefined
}

/**
 * The settings that Mixer lacked, by name: fields of the spec under `intermix.dev/v1`, or annotations
 * `policy.intermix.dev/<name>` under either API. Both at once, and unknown names, are problems.
 */
export class Extras<Name extends string> {
  readonly #values = new Map<string, ConfigNode>()
  readonly #problems: ProblemList

  constructor(object: ConfigObject, names: readonly Name[], problems: ProblemList) {
    this.#problems = problems
    for (const { key, keyNode, value } of object.annotations) {
      if (!key.startsWith(OURS)) continue
      const name = key.slice(OURS.length)
      if (names.some((known) => known === name)) this.#values.set(name, value)
      else problems.error(keyNode, 'unknown-annotation', `no annotation "${key}" here.${suggest(name, names)}`)
    }
  }

  /** The setting's value: the given field of the spec, or else the annotation. */
  get(name: Name, field?: ConfigNode): ScalarNode | undefined {
    const annotation = this.#values.get(name)
    if (annotation !== undefined && field !== undefined) {
      this.#problems.error(annotation, 'duplicate-field', `the spec sets "${name}" too: keep one of the two.`)
    }
    const node = field ?? annotation
    if (node === undefined || node.kind === 'scalar') return node
    this.#problems.error(node, 'wrong-type', `"${name}" must be a single value, not a ${node.kind}.`)
    return undefined
  }
}

/** The dialect of an object's expressions: `lang`, Mixer's annotation, or the API's default (Mixer's: CEXL, ours: CEL). */
export function dialectOf(object: ConfigObject, lang: ScalarNode | undefined, problems: ProblemList): Dialect {
  const istio = object.annotations.find(({ key }) => key === ISTIO_LANGUAGE)?.value
  const node = lang ?? istio
  const fallback = object.api === INTERMIX_API ? 'CEL' : 'CEXL'
  if (node === undefined) return fallback
  const text = node.kind === 'scalar' ? node.text : ''
  if (Object.hasOwn(LANGUAGES, text)) return LANGUAGES[text] ?? fallback
  const reason = text === 'COMPAT' ? 'COMPAT is not supported: write CEXL, whose syntax it has.' : 'write CEL or CEXL.'
  problems.error(node, 'unknown-language', `unknown expression language "${text}": ${reason}`)
  return fallback
}
