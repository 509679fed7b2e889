// A request that is refused for what it is, before any policy is asked.

import { IntermixError } from './errors.ts'

/**
 * Why: it does not say what it is about (`undescribed`), or a caller says so that is not believed (`untrusted`), or in
 * two ways (`contradictory`); its path or host can be read in two ways (`ambiguous`); a header came twice that may come
 * once (`repeated`); text is not UTF-8 or not Unicode (`ill-formed`); it is larger than the settings allow (`too-large`);
 * it claims an attribute that only an operator may set (`claimed`), or sets one that there is not (`unknown-attribute`);
 * a value is not of its type (`invalid-value`).
 */
export type RefusalReason =
  | 'undescribed'
  | 'untrusted'
  | 'contradictory'
  | 'ambiguous'
  | 'repeated'
  | 'ill-formed'
  | 'too-large'
  | 'claimed'
  | 'unknown-attribute'
  | 'invalid-value'

/** INVALID_REQUEST with its reason as a word for metrics, and advice for the operator that no caller gets to read. */
export class RefusedRequest extends IntermixError {
  readonly reason: RefusalReason
  readonly advice: string | undefined

  constructor(reason: RefusalReason, message: string, advice?: string) {
    super('INVALID_REQUEST', message)
    this.reason = reason
    this.advice = advice
  }
}
