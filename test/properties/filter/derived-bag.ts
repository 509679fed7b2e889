// What a node derives of a request of Envoy.

import { type AttributeBag, MapBag } from '../../../src/kernel/attribute-bag.ts'
import { RefusedRequest } from '../../../src/kernel/refused-request.ts'
import { type AttributeValue, isStringMap, type ValueType } from '../../../src/kernel/value.ts'
import { AmbiguousRequest } from '../../../src/wire/ambiguity.ts'
import { describedCheckBag } from '../../../src/wire/envoy-attributes.ts'
import { EnvoyCheck } from '../../../src/wire/envoy-check.ts'
import { NormalRequestBag } from '../../../src/wire/normal-request-bag.ts'
import { type EnvoyRequest, extAuthzRequest } from '../../helpers/envoy-request.ts'

/**
 * @param set attributes that the operator has set, as text
 * @returns `undefined` where the node refuses the request
 */
export function derivedBag(
  request: EnvoyRequest,
  vocabulary: ReadonlyMap<string, ValueType>,
  now: number,
  normalizes: boolean,
  set: Readonly<Record<string, string>> = {},
): AttributeBag | undefined {
  try {
    const sent = describedCheckBag(new EnvoyCheck(extAuthzRequest(request, now, set)), vocabulary)
    const bag = normalizes ? new NormalRequestBag(sent, new Set()) : sent
    const values = new Map<string, AttributeValue>()
    for (const name of vocabulary.keys()) {
      const value = bag.get(name)
      if (value !== undefined) values.set(name, isStringMap(value) ? new Map(value.entries()) : value)
    }
    return new MapBag(values)
  } catch (caught) {
    if (caught instanceof RefusedRequest || caught instanceof AmbiguousRequest) return undefined
    throw caught
  }
}
