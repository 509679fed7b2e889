// Expressions as the oracle has them: a tree of its own, of which the text that the product reads is written.

import type { Duration } from '../../../src/kernel/time.ts'
import type { AttributeType } from '../vocabulary.ts'

export type Dialect = 'CEXL' | 'CEL'

export type Expression =
  | { readonly is: 'constant'; readonly value: string | bigint | Duration }
  /** An attribute, or in a binding or a header value the output of a handler, which is not there for attributes' names. */
  | { readonly is: 'attribute'; readonly name: string; readonly type: AttributeType; readonly isOutput?: boolean }
  | { readonly is: 'entry'; readonly map: string; readonly key: Expression }
  /** The left one, or the right one where that is absent: `a | b`, `pick(a, b)`. */
  | { readonly is: 'else'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'equal' | 'unequal' | 'less' | 'join'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'starts' | 'ends' | 'glob'; readonly left: Expression; readonly right: Expression }
  /** `left` holds the regular expression `right`. */
  | { readonly is: 'matches'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'choice'; readonly condition: Expression; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'address'; readonly of: Expression }
  // The rest is CEL's alone.
  | { readonly is: 'integer'; readonly of: Expression }
  | { readonly is: 'not'; readonly of: Expression }
  | { readonly is: 'quotient'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'size'; readonly map: string }
  | { readonly is: 'same'; readonly map: string; readonly other: string }
  | { readonly is: 'has'; readonly name: string }
  | { readonly is: 'holds'; readonly map: string; readonly key: Expression }
  /** Whether the body is true for some key of the map (`exists`), or for all; within it `key` is the key. */
  | { readonly is: 'some' | 'every'; readonly map: string; readonly body: Expression }
  | { readonly is: 'key' }

export const constant = (value: string | bigint | Duration): Expression => ({ is: 'constant', value })

/** The parts that the outermost `&&` joins. */
export function conjuncts(expression: Expression): readonly Expression[] {
  return expression.is === 'and' ? [...conjuncts(expression.left), ...conjuncts(expression.right)] : [expression]
}
