// The functions that a CEXL expression can call, operators included: their names and types as Mixer declares them.

import type { ValueType } from '../../kernel/value.ts'

/** `undefined` as a type is "any one type, the same at every such place of a call". */
export interface Signature {
  readonly instance: boolean
  readonly target: ValueType | undefined
  readonly args: readonly (ValueType | undefined)[]
  readonly returns: ValueType | undefined
}

export type Signatures = ReadonlyMap<string, Signature>

function plain(returns: ValueType | undefined, ...args: readonly (ValueType | undefined)[]): Signature {
  return { instance: false, target: undefined, args, returns }
}

function method(returns: ValueType, target: ValueType, ...args: readonly ValueType[]): Signature {
  return { instance: true, target, args, returns }
}

const COMPARISON = plain('BOOL', undefined, undefined)

/** Operators and Mixer's extern functions. */
export const CEXL_SIGNATURES: Signatures = new Map([
  ['EQ', COMPARISON],
  ['NEQ', COMPARISON],
  ['LT', COMPARISON],
  ['LEQ', COMPARISON],
  ['GT', COMPARISON],
  ['GEQ', COMPARISON],
  ['OR', plain(undefined, undefined, undefined)],
  ['LOR', plain('BOOL', 'BOOL', 'BOOL')],
  ['LAND', plain('BOOL', 'BOOL', 'BOOL')],
  ['INDEX', plain('STRING', 'STRING_MAP', 'STRING')],
  ['ADD', plain(undefined, undefined, undefined)],
  ['conditional', plain(undefined, 'BOOL', undefined, undefined)],
  ['size', plain('INT64', 'STRING')],
  ['ip', plain('IP_ADDRESS', 'STRING')],
  ['timestamp', plain('TIMESTAMP', 'STRING')],
  ['dnsName', plain('DNS_NAME', 'STRING')],
  ['email', plain('EMAIL_ADDRESS', 'STRING')],
  ['uri', plain('URI', 'STRING')],
  ['match', plain('BOOL', 'STRING', 'STRING')],
  ['emptyStringMap', plain('STRING_MAP')],
  ['conditionalString', plain('STRING', 'BOOL', 'STRING', 'STRING')],
  ['toLower', plain('STRING', 'STRING')],
  ['matches', method('BOOL', 'STRING', 'STRING')],
  ['startsWith', method('BOOL', 'STRING', 'STRING')],
  ['endsWith', method('BOOL', 'STRING', 'STRING')],
])
