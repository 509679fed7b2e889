// What requests with the same answers have in common, as far as it is known before anybody has evaluated them: by that they
// go to the same node.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import { canonicalValue } from '../cache/canonical-value.ts'
import type { Affinity } from './nodes/nodes.ts'

/** An attribute, or an entry of a map: `source.principal`, `request.headers[x-user]`. */
export interface AttributePath {
  readonly name: string
  readonly key: string | undefined
}

export interface AffinityChoice {
  /** Together they are the key. */
  readonly affinity: readonly AttributePath[]
  readonly tenant: AttributePath | undefined
}

/** Who asks for what: the same caller of the same service mostly gets the same answers. */
export const DEFAULT_AFFINITY = ['destination.service', 'destination.service.host', 'request.host', 'source.principal']
export const DEFAULT_TENANT = 'destination.namespace'

/** @throws IntermixError INVALID_SETTING */
export function attributePath(text: string): AttributePath {
  const [, name, key] = /^([a-zA-Z_][\w.-]*)(?:\[([^[\]]+)\])?$/.exec(text) ?? []
  if (name === undefined) {
    const expected = 'expected an attribute such as source.principal, or an entry such as request.headers[x-user]'
    throw new IntermixError('INVALID_SETTING', `${JSON.stringify(text)}: ${expected}`)
  }
  return { name, key: key?.toLowerCase() }
}

/** The key of one request, made when it is asked for: most requests meet nobody who asks. */
export class BagAffinity implements Affinity {
  readonly #bag: AttributeBag
  readonly #choice: AffinityChoice
  #affinity: string | undefined

  constructor(bag: AttributeBag, choice: AffinityChoice) {
    this.#bag = bag
    this.#choice = choice
  }

  get affinity(): string {
    if (this.#affinity !== undefined) return this.#affinity
    let key = ''
    for (const path of this.#choice.affinity) {
      const text = textAt(this.#bag, path)
      key += `${text.length}:${text}`
    }
    this.#affinity = key
    return key
  }

  get tenant(): string {
    const { tenant } = this.#choice
    return tenant === undefined ? '' : textAt(this.#bag, tenant)
  }
}

function textAt(bag: AttributeBag, { name, key }: AttributePath): string {
  const value: AttributeValue | undefined = bag.get(name)
  if (value === undefined) return ''
  if (key === undefined) return typeof value === 'string' ? value : canonicalValue(value)
  return typeof value === 'object' && isStringMap(value) ? (value.get(key) ?? '') : ''
}
