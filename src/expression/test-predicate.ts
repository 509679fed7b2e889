// A predicate made of what another process told of it.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Predicate } from '../kernel/read-log.ts'
import type { SubjectTest } from '../kernel/subject-test.ts'
import { exactJson } from '../kernel/value-json.ts'
import { readSubject, type Subject } from './evaluate.ts'
import { budgeted, DEFAULT_MAX_STEPS } from './steps.ts'
import { askOf, takesSteps } from './subject-test.ts'

/** Two of equal tests of one subject have one id. */
export function testPredicate(subject: Subject, test: SubjectTest): Predicate {
  const { attribute, mapKey } = subject
  const ask = askOf(test)
  const answer = (bag: AttributeBag) => {
    const value = readSubject(bag, subject)
    return value === undefined ? undefined : ask(value)
  }
  const counted = takesSteps(test) ? budgeted(answer, DEFAULT_MAX_STEPS) : undefined
  return {
    id: `test:${exactJson([attribute, mapKey, test])}`,
    attribute,
    mapKey,
    test: counted === undefined ? answer : (bag) => counted(bag, undefined),
    travels: () => test,
  }
}
