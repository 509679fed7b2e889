// Full names (`name.kind.namespace`) and how short references are completed, as Mixer does it.

import { suggest } from '../kernel/suggest.ts'

/**
 * The full names that a reference may mean, likeliest first: `a` is `a.<kind>.<namespace>`; `a.b` is `a.b.<namespace>`
 * (b a legacy kind) or `a.<kind>.b` (b a namespace); anything longer is a full name.
 */
function candidatesOf(reference: string, kind: string, namespace: string): readonly string[] {
  const parts = reference.split('.')
  if (parts.length === 1) return [`${reference}.${kind}.${namespace}`]
  if (parts.length > 2) return [reference, `${reference}.${kind}.${namespace}`]
  return [`${reference}.${namespace}`, `${parts[0]}.${kind}.${parts[1]}`]
}

/** Finds what a reference names. @returns the full name, or a hint for a reference that names nothing. */
export function resolve(
  reference: string,
  kind: string,
  namespace: string,
  registry: ReadonlyMap<string, unknown>,
): { readonly fullName: string } | { readonly hint: string } {
  const fullName = candidatesOf(reference, kind, namespace).find((candidate) => registry.has(candidate))
  return fullName === undefined ? { hint: hintFor(reference, kind, namespace, registry) } : { fullName }
}

function hintFor(reference: string, kind: string, namespace: string, registry: ReadonlyMap<string, unknown>): string {
  const [short = ''] = reference.split('.')
  const elsewhere = [...registry.keys()].filter((name) => name.startsWith(`${short}.`))
  if (elsewhere.length > 0) {
    const names = elsewhere.slice(0, 2).map((name) => shortest(name, kind, namespace))
    return ` There is one as ${names.map((name) => JSON.stringify(name)).join(' and ')}.`
  }
  const references = [...registry.keys()].map((name) => shortest(name, kind, namespace))
  return suggest(reference, references).replace(/ Known: $/, '')
}

/** The shortest reference to a full name from a namespace. */
function shortest(fullName: string, kind: string, namespace: string): string {
  const [name = '', itsKind = '', itsNamespace = '', ...more] = fullName.split('.')
  if (more.length > 0) return fullName
  if (itsNamespace === namespace) return itsKind === kind ? name : `${name}.${itsKind}`
  return itsKind === kind ? `${name}.${itsNamespace}` : fullName
}
