import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import type { CheckOutcome, QuotaGrant } from '../../src/kernel/services.ts'
import { checkAnswer } from '../../src/server/check-answer.ts'

const referencedJson = ({ whole, ...reference }: ReferencedAttribute) => ({ ...reference, whole: whole || undefined })

/** The form of the API, for JSON to write. */
function shown({ answer, quotas }: CheckOutcome): object {
  const grantJson = ({ status, granted, validForMs, referenced }: QuotaGrant) => {
    return { status, granted, validForMs, referenced: referenced.map(referencedJson) }
  }
  const { status, validForMs, validUses, tier, ageMs, requestHeaders, responseHeaders, directResponse } = answer
  return {
    status,
    validForMs,
    validUses,
    tier,
    ageMs,
    referenced: answer.referenced.map(referencedJson),
    requestHeaders,
    responseHeaders,
    directResponse,
    quotas: quotas.size === 0 ? undefined : Object.fromEntries([...quotas].map(([name, it]) => [name, grantJson(it)])),
  }
}

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '"', '\\', '\n', '\ud800', '\u2028'))
const number = fc.oneof(fc.nat(), fc.double(), fc.constant(Number.POSITIVE_INFINITY))
const status = fc.record({ code: fc.integer(), message: text })
const referenced = fc.array(
  fc.record({
    name: text,
    key: fc.option(text, { nil: undefined }),
    condition: fc.constantFrom('EXACT' as const, 'ABSENCE' as const),
    whole: fc.boolean(),
  }),
  { maxLength: 3 },
)
const headers = fc.array(
  fc.record({ name: text, value: text, operation: fc.constantFrom('REPLACE' as const, 'APPEND' as const) }),
  { maxLength: 2 },
)
const direct = fc.record({ code: fc.nat(), body: text, headers: fc.dictionary(text, text) })
const answer = fc.record({
  status,
  validForMs: number,
  validUses: number,
  ageMs: number,
  referenced,
  tier: fc.constantFrom('local' as const, 'stale' as const),
  requestHeaders: headers,
  responseHeaders: headers,
  directResponse: fc.option(direct, { nil: undefined }),
})
const grant = fc.record({ status, granted: number, validForMs: number, referenced })
// A quota of a name like `1` would be put first by JavaScript's objects.
const name = text.filter((each) => !/^\d+$/.test(each) && each !== '__proto__')
const quotas = fc.uniqueArray(fc.tuple(name, grant), { selector: ([each]) => each, maxLength: 3 })

it('writes answers as JSON.stringify would', () => {
  fc.assert(
    fc.property(answer, quotas, (given, grants) => {
      const outcome = { answer: given, quotas: new Map(grants) }
      expect(checkAnswer(outcome)).toBe(JSON.stringify(shown(outcome)))
      // Once more, with what is remembered.
      expect(checkAnswer(outcome)).toBe(JSON.stringify(shown(outcome)))
    }),
    { numRuns: 1_000 },
  )
})
