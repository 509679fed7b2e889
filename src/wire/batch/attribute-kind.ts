// Which field of a check holds an attribute of which type.

import type { ValueType } from '../../kernel/value.ts'

/** What a field of a check holds, by its number in the message. */
export const KINDS = {
  text: 3,
  map: 4,
  address: 5,
  integer: 6,
  boolean: 7,
  time: 8,
  duration: 9,
  double: 10,
} as const

export type AttributeKind = (typeof KINDS)[keyof typeof KINDS]

/** What stands for an attribute that the vocabulary does not name. */
export const UNDECLARED = 0

const NAMES = Object.keys(KINDS)

/** The word for a kind, as messages have it. */
export function kindName(kind: number): string {
  return NAMES[kind - KINDS.text] ?? 'nothing'
}

export const KIND_OF: Readonly<Record<ValueType, AttributeKind>> = {
  STRING: KINDS.text,
  EMAIL_ADDRESS: KINDS.text,
  URI: KINDS.text,
  DNS_NAME: KINDS.text,
  INT64: KINDS.integer,
  DOUBLE: KINDS.double,
  BOOL: KINDS.boolean,
  TIMESTAMP: KINDS.time,
  DURATION: KINDS.duration,
  IP_ADDRESS: KINDS.address,
  STRING_MAP: KINDS.map,
}
