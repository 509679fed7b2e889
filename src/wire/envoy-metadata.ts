// Reading Envoy's dynamic metadata: verified JWT payloads, and maps of strings.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import type { AttributeValue, StringMap } from '../kernel/value.ts'
import type { Derive } from './derived-bag.ts'
import type { FilterMetadata } from './filter-metadata.ts'

const JWT_NAMESPACE = 'envoy.filters.http.jwt_authn'

/** The metadata that one filter wrote. */
export function metadataOf(metadata: FilterMetadata | undefined, namespace: string): JsonObject | undefined {
  const all = metadata?.filterMetadata
  return all !== undefined && Object.hasOwn(all, namespace) ? all[namespace] : undefined
}

/**
 * `request.auth.*` from the payload that Envoy's JWT filter has verified. The filter writes it under a name of the
 * operator's choice; of several payloads the first by name is used, so that the same request reads the same.
 */
export const AUTH_DERIVATIONS: Readonly<Record<string, Derive<FilterMetadata | undefined>>> = {
  'request.auth.principal': (metadata) => {
    const claims = claimsOf(metadata)
    const issuer = text(claims?.['iss'])
    const subject = text(claims?.['sub'])
    return issuer === undefined || subject === undefined ? undefined : `${issuer}/${subject}`
  },
  'request.auth.audiences': (metadata) => joined(claimsOf(metadata)?.['aud']),
  'request.auth.presenter': (metadata) => text(claimsOf(metadata)?.['azp']),
  'request.auth.claims': (metadata) => {
    const claims = claimsOf(metadata)
    return claims === undefined ? undefined : stringsOf(claims)
  },
  'request.auth.raw_claims': (metadata) => {
    const claims = claimsOf(metadata)
    return claims === undefined ? undefined : JSON.stringify(claims)
  },
}

/** The strings of an object, and its lists of strings joined by commas; everything else is left out. */
function stringsOf(object: JsonObject): StringMap {
  const strings = new Map<string, string>()
  for (const [key, value] of Object.entries(object)) {
    const entry = joined(value)
    if (entry !== undefined) strings.set(key, entry)
  }
  return strings
}

/** Each namespace's strings as one map attribute under the namespace's name. */
export class MetadataBag implements AttributeBag {
  readonly #source: { readonly metadata?: FilterMetadata | undefined }

  /** @param source is asked for its metadata when a namespace is read */
  constructor(source: { readonly metadata?: FilterMetadata | undefined }) {
    this.#source = source
  }

  get(name: string): AttributeValue | undefined {
    const written = metadataOf(this.#source.metadata, name)
    return written === undefined ? undefined : stringsOf(written)
  }

  names(): Iterable<string> {
    return Object.keys(this.#source.metadata?.filterMetadata ?? {})
  }
}

function claimsOf(metadata: FilterMetadata | undefined): JsonObject | undefined {
  const written = metadataOf(metadata, JWT_NAMESPACE)
  if (written === undefined) return undefined
  for (const name of Object.keys(written).toSorted()) {
    const payload = written[name]
    if (isJsonObject(payload) && ('iss' in payload || 'sub' in payload)) return payload
  }
  return undefined
}

function joined(value: unknown): string | undefined {
  if (!Array.isArray(value)) return text(value)
  const parts = value.filter((part) => typeof part === 'string')
  return parts.length === 0 ? undefined : parts.join(',')
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
