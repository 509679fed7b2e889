// What a predicate asks of the value of its subject, as data: another process can ask it of its own requests, without the
// expression that it came from.

/** Whether texts are beginnings or endings. */
export type Side = 'prefix' | 'suffix'

/** How a value stands to a constant. */
export type Order = 'below' | 'atMost' | 'above' | 'atLeast'

/** Values that are equal exactly when their JavaScript values are. */
export type PlainValue = string | bigint | boolean

/** A test of one value. What it says of a value of another type than it names is `undefined`. */
export type SubjectTest =
  | { readonly op: 'equals'; readonly value: PlainValue }
  /** One of these, all of one type. */
  | { readonly op: 'oneOf'; readonly values: readonly PlainValue[] }
  /** `matches`: RE2, anywhere in the text. */
  | { readonly op: 'prefix' | 'suffix' | 'contains' | 'matches'; readonly text: string }
  /** Texts in the order of their UTF-8 bytes. */
  | { readonly op: Order; readonly than: string | bigint | number }
  /** Whether `affix` is the longest of the known beginnings or endings; without one, whether there is none. */
  | {
      readonly op: 'longest'
      readonly side: Side
      readonly known: readonly string[]
      readonly affix: string | undefined
    }
  | { readonly op: 'not'; readonly of: SubjectTest }
  /** One after the other, until one decides. */
  | { readonly op: 'all' | 'any'; readonly of: readonly SubjectTest[] }
