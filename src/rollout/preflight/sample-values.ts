// Values of each type that requests may have and nobody thinks of: empty, long, negative, of another script.

import { Duration, Timestamp } from '../../kernel/time.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'

const LONG_TEXT = 'long/'.repeat(1_600)
const ODD_TEXT = 'ﬃ%00\u0000\ud800/../?a=b&a=c'
const EMPTY: ReadonlyMap<string, string> = new Map()
const MANY: ReadonlyMap<string, string> = new Map(
  Array.from({ length: 100 }, (_, n) => [`key-${n}`, LONG_TEXT.slice(0, n * 10)]),
)
const YEAR_NANOS = 31_557_600n * 1_000_000_000n

const TEXTS: readonly string[] = ['text', '', LONG_TEXT, ODD_TEXT]

const SAMPLES: Readonly<Record<ValueType, readonly AttributeValue[]>> = {
  STRING: TEXTS,
  EMAIL_ADDRESS: ['someone@example.com', ...TEXTS],
  URI: ['https://example.com/a?b=c', ...TEXTS],
  DNS_NAME: ['example.com', ...TEXTS],
  INT64: [1n, 0n, -1n, 2n ** 63n - 1n, -(2n ** 63n)],
  DOUBLE: [1, 0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE],
  BOOL: [true, false],
  TIMESTAMP: [new Timestamp(56n * YEAR_NANOS), new Timestamp(0n), new Timestamp(-YEAR_NANOS)],
  DURATION: [new Duration(1_000_000n), new Duration(0n), new Duration(-YEAR_NANOS)],
  IP_ADDRESS: [new Uint8Array([127, 0, 0, 1]), new Uint8Array(16), new Uint8Array([255, 255, 255, 255])],
  STRING_MAP: [new Map([['key', 'value']]), EMPTY, MANY],
}

/** Samples of a type, the plainest first. */
export function sampleValues(type: ValueType): readonly AttributeValue[] {
  return SAMPLES[type]
}
