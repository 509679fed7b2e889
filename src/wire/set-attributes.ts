// Attributes that an operator sets in a proxy's config as text, by name.

import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import { readAttributeText, TEXT_FORMS } from './attribute-text.ts'
import { withLowerCaseNames } from './header-map.ts'
import { HEADER_MAPS } from './request-headers.ts'

/**
 * Reads `name → text` pairs by the types of the vocabulary. Names outside of it are passed over: proxies carry settings
 * of other filters in the same place.
 * @throws IntermixError INVALID_ATTRIBUTE that names every value of the wrong type: a policy must not run on the absence
 * of what its operator meant to set. `where` says where they are written.
 */
export function readSetAttributes(
  pairs: Iterable<readonly [string, string]>,
  vocabulary: Vocabulary,
  where: string,
): Map<string, AttributeValue | undefined> {
  const values = new Map<string, AttributeValue | undefined>()
  const wrong: string[] = []
  for (const [name, text] of pairs) {
    const type = vocabulary.get(name)
    if (type === undefined) continue
    const value = readAttributeText(type, text)
    if (value === undefined)
      wrong.push(`${name} is ${JSON.stringify(text.slice(0, 64))} and must be ${TEXT_FORMS[type]}`)
    else values.set(name, HEADER_MAPS.has(name) && isStringMap(value) ? withLowerCaseNames(value) : value)
  }
  if (wrong.length > 0) throw new IntermixError('INVALID_ATTRIBUTE', `${where}: ${wrong.join('; ')}`)
  return values
}
