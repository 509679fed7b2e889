// An adapter's answer, believed only after it was looked at.

import { IntermixError } from '../kernel/errors.ts'
import { isThenable } from './is-thenable.ts'

/**
 * The answer itself. Throws, or rejects with, a `BACKEND_FAILED` that says what is wrong with it. To be called within
 * the guard, so that a backend that answers nonsense counts as one that fails.
 * @param problemOf says what is wrong with an answer, or `undefined`
 */
export function believe<T>(answer: T | Promise<T>, problemOf: (value: unknown) => string | undefined): T | Promise<T> {
  const look = (value: T): T => {
    const problem = problemOf(value)
    if (problem === undefined) return value
    throw new IntermixError('BACKEND_FAILED', `the adapter answered nonsense: ${problem}`, { backend: 'answered' })
  }
  return isThenable(answer) ? Promise.resolve(answer).then(look) : look(answer)
}
