// The kinds of objects that a config may hold, and the API versions that they come under.

import type { AnyAdapter } from '../adapter-kit/define-adapter.ts'
import type { TemplateDefinition } from '../adapter-kit/template.ts'
import { BUILT_IN_TEMPLATES } from '../adapter-kit/templates.ts'

/** Mixer's own format, and ours, which adds to it. */
export const MIXER_API = 'config.istio.io/v1alpha2'
export const INTERMIX_API = 'intermix.dev/v1'

/** What a document is taken as. Legacy kinds are named by their adapter or by one of Mixer's templates. */
export type ObjectRole =
  | { readonly role: 'manifest' | 'rule' }
  | { readonly role: 'handler'; readonly adapter?: string }
  | { readonly role: 'instance'; readonly template?: TemplateDefinition }
  | { readonly role: 'ignored'; readonly reason: string }

const FOR_PROXIES = 'is for proxies; ignored'
const DYNAMIC = 'describes an out-of-process adapter for Mixer itself; ignored'

const ROLES: ReadonlyMap<string, ObjectRole> = new Map<string, ObjectRole>([
  ['attributemanifest', { role: 'manifest' }],
  ['handler', { role: 'handler' }],
  ['instance', { role: 'instance' }],
  ['rule', { role: 'rule' }],
  ['quotaspec', { role: 'ignored', reason: FOR_PROXIES }],
  ['quotaspecbinding', { role: 'ignored', reason: FOR_PROXIES }],
  ['httpapispec', { role: 'ignored', reason: FOR_PROXIES }],
  ['httpapispecbinding', { role: 'ignored', reason: FOR_PROXIES }],
  ['adapter', { role: 'ignored', reason: DYNAMIC }],
  ['template', { role: 'ignored', reason: DYNAMIC }],
])

/** What a kind means, letter case aside; `undefined` for an unknown one. */
export function roleOf(kind: string, adapters: ReadonlyMap<string, AnyAdapter>): ObjectRole | undefined {
  const name = kind.toLowerCase()
  const role = ROLES.get(name)
  if (role !== undefined) return role
  const template = BUILT_IN_TEMPLATES.get(name)
  if (template !== undefined) return { role: 'instance', template }
  return adapters.has(name) ? { role: 'handler', adapter: name } : undefined
}

/** Every kind that can be written, for suggestions. */
export function knownKinds(adapters: ReadonlyMap<string, AnyAdapter>): readonly string[] {
  return [...ROLES.keys(), ...BUILT_IN_TEMPLATES.keys(), ...adapters.keys()]
}
